"""The networks that the benchmarks of whole passes run on: name -> flags of `ddpm bench`."""

CASES = {
    "batch 8, 32x32": "--dim 64 --dim-mults 1,2,4,8 --size 32 --batch 8",
    "batch 1, 32x32": "--dim 64 --dim-mults 1,2,4,8 --size 32 --batch 1",
    "batch 4, 64x64": "--dim 64 --dim-mults 1,2,4,8 --size 64 --batch 4",
    "dim 32, mults 1 2 4, batch 32, 32x32": "--dim 32 --dim-mults 1,2,4 --size 32 --batch 32",
    "dim 128, mults 1 2 2 2, batch 4, 32x32": "--dim 128 --dim-mults 1,2,2,2 --size 32 --batch 4",
    "lucidrains, batch 8, 32x32":
        "--network lucidrains --dim 64 --dim-mults 1,2,4,8 --size 32 --batch 8",
    "lucidrains, batch 1, 32x32":
        "--network lucidrains --dim 64 --dim-mults 1,2,4,8 --size 32 --batch 1",
    "lucidrains, dim 32, mults 1 2 4, batch 32, 32x32":
        "--network lucidrains --dim 32 --dim-mults 1,2,4 --size 32 --batch 32",
}
