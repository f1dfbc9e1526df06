"""The name of a recurrent layer in texts."""

from rnn_tasks.cores import Blocks, Core, Foreign


def layer_name(core: Core) -> str:
    """Return the class name of a layer, or what is inside a :class:`~rnn_tasks.cores.Foreign` core or blocks.

    Args:
        core: The layer.

    Example:
        >>> from rnn_tasks.cores import GRU
        >>> layer_name(GRU(3, 4)), layer_name(Foreign(3, 4, GRU)), layer_name(Blocks(3, 4, GRU))
        ('GRU', 'GRU', '2 blocks of GRU')
    """
    if isinstance(core, Blocks):
        count = len(core.blocks)
        return f"{count} block{'s' if count > 1 else ''} of {layer_name(core.blocks[0].core)}"
    return type(core.layer if isinstance(core, Foreign) else core).__name__
