#include "ddpm/engine/train_options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

// A resumed run must not change an option that affects what is learnt.
TEST(TrainOptions, AResumedRunMayChangeWhatDecidesNothingLearnt) {
  std::set<std::string> changeable;
  const TrainOptions options;
  for (const Field& field : fields_of(options)) {
    if (field.changeable()) changeable.insert(field.name());
  }
  EXPECT_EQ(changeable, (std::set<std::string>{"data",
                                               "labels",
                                               "steps",
                                               "budget",
                                               "threads",
                                               "log_every",
                                               "save_every",
                                               "sample_every",
                                               "sample_count",
                                               "sample_steps",
                                               "keep_checkpoints",
                                               "snapshot_every",
                                               "eval_every",
                                               "eval_n",
                                               "recompute",
                                               "reduce",
                                               "reduce_type",
                                               "stream",
                                               "power_average_every",
                                               "validate_every",
                                               "tensorboard"}));
}

TEST(TrainOptions, NoNameStandsForTwoFields) {
  std::set<std::string> names;
  const TrainOptions options;
  for (const Field& field : fields_of(options)) {
    EXPECT_TRUE(names.insert(field.name()).second) << field.name();
    for (const std::string& alias : field.aliases())
      EXPECT_TRUE(names.insert(alias).second) << alias;
    EXPECT_FALSE(tells_of_run(field.name())) << field.name();
    EXPECT_FALSE(field.help().empty()) << field.name();
    EXPECT_FALSE(field.group().empty()) << field.name();
  }
}

TEST(TrainOptions, NamesOfVersion010AreRead) {
  TrainOptions options;
  read_options({{"checkpointing", "true"}, {"dim", "32"}, {"groups", "8"}, {"lr", "0.001"}},
               options);
  EXPECT_TRUE(options.optimizer.recompute);
  EXPECT_EQ(options.optimizer.lr, 0.001);
  const ModelConfig model = options.model_config(8, 8, 1);
  ModelConfig old = model_config_from_json(
      R"({"dim": 32, "dim_mults": [1, 2, 4, 8], "channels": 1, "init_dim": 0, "output_dim": 0,
          "resnet_block_groups": 8, "attention_heads": 4, "attention_dim_head": 32,
          "weight_standardization_eps": 0, "height": 8, "width": 8, "schedule": "cosine",
          "timesteps": 1000})",
      "test");
  EXPECT_EQ(to_json(old), to_json(model));
}

TEST(TrainOptions, EveryOptionSurvivesARoundTrip) {
  TrainOptions options;
  for (const Field& field : fields_of(options)) {
    if (field.choices().empty() && std::holds_alternative<std::string*>(field.value()))
      *std::get<std::string*>(field.value()) = "some text";
    if (std::holds_alternative<int64_t*>(field.value())) *std::get<int64_t*>(field.value()) += 1;
    if (std::holds_alternative<bool*>(field.value())) *std::get<bool*>(field.value()) ^= true;
    if (!field.choices().empty()) *std::get<std::string*>(field.value()) = field.choices().back();
  }
  JsonObject written, again;
  write_options(options, written);
  TrainOptions read;
  read_options(JsonObject::parse(written.dump(), "test"), read);
  write_options(read, again);
  EXPECT_EQ(written.dump(), again.dump());
}

// The tables are generated from the fields, so they always match them.
TEST(TrainOptions, TheDocumentationHoldsTheTablesOfFields) {
  const std::string docs = read_file(std::string(DDPM_SOURCE_DIR) + "/docs/formats.md");
  const TrainOptions options;
  std::vector<std::string> tables = {fields_table(fields_of(options))};
  for (size_t i = 1; i < network_families().size(); ++i) {
    NetworkConfig network = network_families()[i].defaults();
    Fields own;
    for (const Field& field : fields_of(network)) {
      if (field.name() != "network") own(field.name(), field.value(), field.help());
    }
    tables.push_back(fields_table(own));
  }
  for (const std::string& table : tables) {
    EXPECT_NE(docs.find(table), std::string::npos)
        << "docs/formats.md should hold this table of config.json:\n\n"
        << table;
  }
}

}  // namespace
}  // namespace ddpm
