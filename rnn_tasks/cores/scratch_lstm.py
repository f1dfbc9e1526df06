"""Long short-term memory from scratch."""

import torch

from rnn_tasks.cores.unrolled import Blocks, States, Unrolled


class ScratchLSTM(Unrolled):
    """Long short-term memory with the parameters of ``torch.nn.LSTM``; ``*`` is elementwise.

    - ``i = sigmoid(U_i x_t + b_i + W_i h_{t-1} + c_i)``, the input gate
    - ``f = sigmoid(U_f x_t + b_f + W_f h_{t-1} + c_f)``, the forget gate
    - ``g = tanh(U_g x_t + b_g + W_g h_{t-1} + c_g)``, the new values for the cell
    - ``o = sigmoid(U_o x_t + b_o + W_o h_{t-1} + c_o)``, the output gate
    - ``m_t = f * m_{t-1} + i * g``, the cell
    - ``h_t = o * tanh(m_t)``

    The state is ``(h, m)``, each ``(num_layers, batch, hidden_size)``. The arguments are documented in
    :class:`~rnn_tasks.cores.Unrolled`.

    Sources: S. Hochreiter and J. Schmidhuber, "Long short-term memory", 1997,
    https://doi.org/10.1162/neco.1997.9.8.1735; for the forget gate, F. A. Gers, J. Schmidhuber and F. Cummins,
    "Learning to forget: continual prediction with LSTM", 2000, https://doi.org/10.1162/089976600300015015

    Example:
        >>> outputs, (hidden, cell) = ScratchLSTM(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, hidden.shape, cell.shape
        (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]), torch.Size([1, 2, 5]))
    """

    gates = ("input", "forget", "cell", "output")
    num_state_tensors = 2

    def step(self, input_terms: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return the output h_t and the cell m_t."""
        hidden, cell = state
        x_input, x_forget, x_cell, x_output = input_terms
        w_input, w_forget, w_cell, w_output = weight
        input_gate = torch.sigmoid(torch.addmm(x_input, hidden, w_input))
        forget_gate = torch.sigmoid(torch.addmm(x_forget, hidden, w_forget))
        new = torch.tanh(torch.addmm(x_cell, hidden, w_cell))
        output_gate = torch.sigmoid(torch.addmm(x_output, hidden, w_output))
        cell = forget_gate * cell + input_gate * new
        return output_gate * torch.tanh(cell), cell
