#!/usr/bin/env python3
"""Runs scripts/check_layers on small trees of files: it must accept correct trees and report faults."""

import os
import subprocess
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../scripts/check_layers")

# Two rooms. The second contains a third room.
LAYERS = """
# a comment
low:
high: low
  order: text < page* < book
  private: secret
high/inner: high low
"""


def includes(*paths):
    return "".join(f'#include "{path}"\n' for path in paths)


class CheckLayers(unittest.TestCase):
    def check(self, files, layers=LAYERS):
        """The exit status and what is printed for a tree of {path: text}."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {"ddpm/LAYERS": layers, **files}.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            done = subprocess.run([SCRIPT, root], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

    def passes(self, files, layers=LAYERS):
        self.assertEqual(self.check(files, layers), (0, ""))

    def fails(self, files, message, layers=LAYERS, status=1):
        code, printed = self.check(files, layers)
        self.assertIn(message, printed)
        self.assertEqual(code, status)

    # Rooms

    def test_lower_rooms_and_the_own_room_may_be_included(self):
        self.passes({
            "ddpm/low/a.h": "",
            "ddpm/high/text.h": includes("ddpm/low/a.h"),
            "ddpm/high/page.cpp": includes("ddpm/high/page.h", "ddpm/high/text.h", "ddpm/low/a.h"),
            "ddpm/high/inner/x.h": includes("ddpm/high/page.h", "ddpm/low/a.h"),
        })

    def test_a_higher_room_may_not_be_included(self):
        self.fails({"ddpm/low/a.h": "\n" + includes("ddpm/high/text.h")},
                   "ddpm/low/a.h:2: low must not include high/text.h")

    def test_a_room_inside_a_room_is_another_room(self):
        self.fails({"ddpm/high/text.h": includes("ddpm/high/inner/x.h")},
                   "ddpm/high/text.h:1: high must not include high/inner/x.h")

    def test_angle_brackets_and_spaces_hide_nothing(self):
        self.fails({"ddpm/low/a.h": "  #  include <ddpm/high/text.h>\n"},
                   "low must not include high/text.h")

    def test_a_file_outside_all_rooms_is_named(self):
        self.fails({"ddpm/other/a.h": includes("ddpm/low/a.h")},
                   "other/a.h belongs to no room of LAYERS")

    def test_the_header_of_all_headers_stands_above_all_rooms(self):
        umbrella = {"ddpm/ddpm.h": includes("ddpm/low/a.h", "ddpm/high/inner/x.h")}
        self.passes(umbrella)
        self.fails({**umbrella, "ddpm/low/b.cpp": includes("ddpm/ddpm.h")},
                   "ddpm/low/b.cpp:1: ddpm.h belongs to no room of LAYERS")

    # Cycles

    def test_headers_that_include_each_other_are_a_cycle(self):
        self.fails({"ddpm/low/a.h": includes("ddpm/low/b.h"),
                    "ddpm/low/b.h": includes("ddpm/low/a.h")},
                   "cycle low/a -> low/b -> low/a (ddpm/low/a.h:1, ddpm/low/b.h:1)")

    def test_sources_close_a_cycle_too(self):
        self.fails({"ddpm/low/a.cpp": includes("ddpm/low/a.h", "ddpm/low/b.h"),
                    "ddpm/low/b.cpp": includes("ddpm/low/b.h", "ddpm/low/c.h"),
                    "ddpm/low/c-inl.h": includes("ddpm/low/a.h")},
                   "cycle low/a -> low/b -> low/c -> low/a")

    def test_each_cycle_is_told_once(self):
        pair = lambda a, b: {f"ddpm/low/{a}.h": includes(f"ddpm/low/{b}.h"),
                             f"ddpm/low/{b}.h": includes(f"ddpm/low/{a}.h")}
        _, printed = self.check({**pair("a", "b"), **pair("c", "d")})
        self.assertEqual(printed.count("cycle"), 2)

    def test_two_ways_to_one_file_are_no_cycle(self):
        self.passes({"ddpm/low/a.cpp": includes("ddpm/low/a.h", "ddpm/low/b.h", "ddpm/low/c.h"),
                     "ddpm/low/b.h": includes("ddpm/low/c.h")})

    def test_tests_close_no_cycle(self):
        self.passes({"ddpm/low/a.cpp": includes("ddpm/low/b.h"),
                     "ddpm/low/b_test.cpp": includes("ddpm/low/a.h", "ddpm/low/b.h")})

    # Orders and private headers

    def test_a_higher_floor_may_not_be_included(self):
        self.fails({"ddpm/high/text.cpp": includes("ddpm/high/page_2.h")},
                   "text must not include page_2, which stands higher in high")

    def test_what_no_order_names_stands_on_top(self):
        self.passes({"ddpm/high/new.h": includes("ddpm/high/book.h")})
        self.fails({"ddpm/high/book.h": includes("ddpm/high/new.h")},
                   "book must not include new, which stands higher in high")

    def test_a_private_header_stays_in_its_room(self):
        self.passes({"ddpm/high/x.cpp": includes("ddpm/high/secret.h")})
        for user in ("ddpm/high/inner/x.cpp", "apps/x.cpp", "examples/x.cpp"):
            self.fails({user: includes("ddpm/high/secret.h")},
                       f"{user}:1: high/secret.h is private to high")

    # Tests

    def test_sources_may_not_include_what_tests_share(self):
        for header in ("tests/support/compare.h", "ddpm/low/a_test_support.h"):
            self.passes({"ddpm/low/a_test.cpp": includes(header)})
            self.fails({"ddpm/low/a.cpp": includes(header)}, f"only tests may include {header}")

    def test_tests_may_pick_a_backend(self):
        layers = LAYERS + "kernels/select: low\n"
        test = {"ddpm/low/a_test.cpp": includes("ddpm/kernels/select/backends.h")}
        self.passes(test, layers)
        self.fails({"ddpm/low/a.cpp": test["ddpm/low/a_test.cpp"]}, "low must not include", layers)

    # LAYERS

    def test_a_room_that_does_not_stand_above_is_an_error(self):
        self.fails({}, "low names high, which is not listed above it",
                   "low: high\nhigh:\n", status=2)

    def test_an_unknown_line_is_an_error(self):
        self.fails({}, "'odrer' is neither order", "low:\n  odrer: a < b\n", status=2)
        self.fails({}, "no colon in 'low'", "low\n", status=2)


if __name__ == "__main__":
    unittest.main()
