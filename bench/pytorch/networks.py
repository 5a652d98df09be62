"""The networks of both families by the options of `ddpm`."""

from lucidrains_unet import Unet
from unet import DiffusionUnet


def add_network_options(parser):
    """The options that network_of() reads, under the names of `ddpm`."""
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser.add_argument("--network", choices=("tutorial", "lucidrains"), default="tutorial")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--dim-mults", type=numbers, default=[1, 2, 4, 8], metavar="1,2,4,8")
    parser.add_argument("--init-dim", type=int)
    parser.add_argument("--output-dim", type=int)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--size", default="32", metavar="32 or HxW")
    parser.add_argument("--batch", type=int, default=8)
    group = parser.add_argument_group("only with --network tutorial")
    group.add_argument("--groups", type=int, default=4)
    group = parser.add_argument_group("only with --network lucidrains",
                                      "Lists have one number for each level, or one for all.")
    group.add_argument("--heads", type=numbers, default=[4], metavar="4,...")
    group.add_argument("--dim-head", type=numbers, default=[32], metavar="32,...")
    group.add_argument("--full-attn", type=numbers, default=[], metavar="0,0,0,1")
    group.add_argument("--mem-kv", type=int, default=4)
    group.add_argument("--theta", type=float, default=10_000)
    group.add_argument("--self-condition", action="store_true")
    group.add_argument("--dropout", type=float, default=0)


def network_of(args):
    common = (args.dim, args.init_dim, args.output_dim, args.dim_mults, args.channels)
    if args.network == "tutorial":
        return DiffusionUnet(*common, args.groups)
    return Unet(*common, heads=args.heads, dim_head=args.dim_head, full_attn=args.full_attn,
                mem_kv=args.mem_kv, theta=args.theta, self_condition=args.self_condition,
                dropout=args.dropout)


def image_shape_of(args):
    """[N, C, H, W]"""
    sides = [int(side) for side in args.size.split("x")]
    return (args.batch, args.channels, sides[0], sides[-1])
