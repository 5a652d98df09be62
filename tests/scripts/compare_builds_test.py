#!/usr/bin/env python3
"""Tests the result and the errors of bench/compare_builds, on programs that only print figures."""

import os
import subprocess
import sys
import tempfile
import unittest

BENCH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../bench")
SCRIPT = os.path.join(BENCH, "compare_builds")
sys.path.insert(0, BENCH)
from network_cases import CASES  # noqa: E402

# A forward pass and a training step of each case.
MINIMA = 2 * len(CASES)


class CompareBuilds(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def build(self, name, forward=0.1, step=0.4, memory=500, simd="avx2"):
        """A build folder whose program prints these figures."""
        folder = os.path.join(self.folder.name, name)
        os.mkdir(folder)
        with open(os.path.join(folder, "ddpm"), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\necho '{{\"forward_s\":{forward},\"train_step_s\":{step},"
                       f"\"peak_rss_mb\":{memory},\"threads\":2,\"simd\":\"{simd}\"}}'\n")
        os.chmod(file.name, 0o755)
        return folder

    def compare(self, old, new, *more):
        done = subprocess.run([SCRIPT, old, new, "--rounds", "2", *more], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_equal_builds_pass(self):
        code, printed = self.compare(self.build("old"), self.build("new"))
        self.assertEqual(code, 0, printed)
        self.assertIn("| batch 1, 32x32 | training step | 400.0 ms | 400.0 ms | 1.000 |", printed)
        self.assertIn(f"time: 1.000 of the old one, geometric mean of {MINIMA} minima", printed)

    def test_the_mean_decides_not_one_pass(self):
        # sqrt(1.05 * 1) = 1.0247
        code, printed = self.compare(self.build("old"), self.build("new", forward=0.105))
        self.assertEqual(code, 0, printed)

    def test_slower_than_the_tolerance_fails(self):
        old, new = self.build("old"), self.build("new", forward=0.105, step=0.42)
        code, printed = self.compare(old, new)
        self.assertEqual(code, 1)
        self.assertIn(f"time: 1.050 of the old one, geometric mean of {MINIMA} minima: worse by "
                      "more than 3 %", printed)
        self.assertEqual(self.compare(old, new, "--tolerance", "6")[0], 0)

    def test_larger_than_the_tolerance_fails(self):
        code, printed = self.compare(self.build("old"), self.build("new", memory=520))
        self.assertEqual(code, 1)
        self.assertIn("peak memory: 1.040 of the old one", printed)

    def test_faster_and_smaller_pass(self):
        self.assertEqual(self.compare(self.build("old"), self.build("new", 0.05, 0.2, 250))[0], 0)

    def test_one_case_of_a_program(self):
        code, printed = self.compare(os.path.join(self.build("old"), "ddpm"), self.build("new"),
                                     "--case", "batch 4, 64x64")
        self.assertEqual(code, 0, printed)
        self.assertIn("geometric mean of 2 minima", printed)

    def test_what_cannot_be_compared_is_an_error(self):
        old = self.build("old")
        code, printed = self.compare(old, self.build("other", simd="avx512"))
        self.assertEqual(code, 2)
        self.assertIn("the builds differ in simd: avx2 and avx512", printed)
        code, printed = self.compare(old, os.path.join(self.folder.name, "absent"))
        self.assertEqual(code, 2)
        self.assertIn("no program at", printed)


if __name__ == "__main__":
    unittest.main()
