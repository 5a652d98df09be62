#include "apps/cli/eval_report.h"

#include <fmt/core.h>

#include <algorithm>

#include "apps/cli/common.h"
#include "ddpm/base/json.h"
#include "ddpm/base/text.h"
#include "ddpm/eval/manifold.h"

namespace ddpm::cli {
namespace {

std::string json(const std::optional<double>& value) {
  return value ? json_value::write(*value) : "null";
}

void set_figures(const QualityFigures& figures, JsonObject& object) {
  object.set("n", json_value::write(figures.n));
  object.set("n_real", json_value::write(figures.n_real));
  object.set("frechet", json(figures.frechet));
  object.set("kernel", json(figures.kernel));
  object.set("kernel_se", json(figures.kernel_se));
  object.set("precision", json(figures.precision));
  object.set("recall", json(figures.recall));
  object.set("density", json(figures.density));
  object.set("coverage", json(figures.coverage));
  object.set("n_manifold", json_value::write(figures.n_manifold));
}

std::string number(const std::optional<double>& value, int digits = 4) {
  return value ? fmt::format("{:.{}g}", *value, digits) : "-";
}

std::string line(const char* name, const std::string& value, const std::string& about) {
  return fmt::format("{:<13}{:<20} {}\n", name, value, about);
}

std::string class_table(const Evaluation& evaluation) {
  if (evaluation.classes.empty()) return "";
  size_t widest = 5;
  for (const ClassFigures& each : evaluation.classes)
    widest = std::max(widest, printable(each.name).size());
  std::string text =
      fmt::format("\n{:<{}}  {:>6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "class", widest,
                  "n", "n_real", "frechet", "kernel", "precision", "recall", "density", "coverage");
  for (const auto& [name, figures] : evaluation.classes) {
    text += fmt::format("{:<{}}  {:>6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
                        printable(name), widest, figures.n, figures.n_real, number(figures.frechet),
                        number(figures.kernel, 3), number(figures.precision, 3),
                        number(figures.recall, 3), number(figures.density, 3),
                        number(figures.coverage, 3));
  }
  return text;
}

}  // namespace

std::string json_of(const EvalReport& report) {
  const Evaluation& evaluation = report.evaluation;
  JsonObject object;
  object.set("judged", json_value::write(report.judged));
  object.set("data", json_value::write(report.real));
  for (const auto& [name, value] : report.drawing.members()) object.set(name, value);
  object.set("features", json_value::write(evaluation.features));
  object.set("width", json_value::write(evaluation.width));
  set_figures(evaluation.figures, object);
  object.set("k", json_value::write(kManifoldNeighbours));
  object.set("near_copies",
             evaluation.copies ? json_value::write(evaluation.copies->share()) : "null");
  object.set("duplicates", json_value::write(evaluation.duplicates));
  if (report.bits) {
    object.set("bits_per_dim", json_value::write(report.bits->mean));
    object.set("bits_per_dim_se", json_value::write(report.bits->standard_error));
    object.set("n_bits", json_value::write(report.bits->count));
  }
  if (!evaluation.classes.empty()) {
    JsonObject classes;
    for (const auto& [name, figures] : evaluation.classes) {
      JsonObject one;
      set_figures(figures, one);
      one.set("warnings", json_value::write(figures.warnings));
      classes.set(name, one.dump(-1));
    }
    object.set("per_class", classes.dump(-1));
  }
  object.set("warnings", json_value::write(evaluation.figures.warnings));
  return object.dump();
}

std::string text_of(const EvalReport& report) {
  const Evaluation& evaluation = report.evaluation;
  const QualityFigures& figures = evaluation.figures;
  std::string text =
      fmt::format("{} picture{} of {} against {} of {}\n", figures.n, plural(figures.n),
                  printable(report.judged), figures.n_real, printable(report.real));
  text +=
      line("features", evaluation.features, fmt::format("{} of each picture", evaluation.width));
  text += line("frechet", number(figures.frechet), "0 is best");
  std::string kernel = number(figures.kernel);
  if (figures.kernel_se) kernel += fmt::format(" +- {:.2g}", *figures.kernel_se);
  text += line("kernel", kernel, "0 is best");
  const std::string sets = fmt::format("{} picture{} of each, k = {}", figures.n_manifold,
                                       plural(figures.n_manifold), kManifoldNeighbours);
  text += line("precision", number(figures.precision), "1 is best; " + sets);
  text += line("recall", number(figures.recall), "1 is best");
  text += line("density", number(figures.density), "1 and more is good");
  text += line("coverage", number(figures.coverage), "1 is best");
  if (evaluation.copies) {
    text += line("near copies", fmt::format("{:.2f} %", 100 * evaluation.copies->share()),
                 "of pictures of the data");
  }
  if (report.bits) {
    text += line("bits per dim",
                 fmt::format("{:.4f} +- {:.2g}", report.bits->mean, report.bits->standard_error),
                 fmt::format("at most, of {} picture{} of the data", report.bits->count,
                             plural(report.bits->count)));
  }
  return text + class_table(evaluation);
}

}  // namespace ddpm::cli
