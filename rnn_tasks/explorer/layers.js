"use strict";

/**
 * The layers that the page can run, by kind. A new layer is one more entry with these functions of the layer's options:
 *
 *   parts     sizes of the parts of the state
 *   gates     sizes of the gates, by name
 *   weights   (options, weights, l) -> {inputs, matrices, constants}: what layer l makes of the weights of the network,
 *             by name. `inputs` {weight, bias}: affine maps of the layer's input. `matrices` {block, shape, data}: what
 *             multiplies the state; the page can scale each of them, and cut entries of those that are square.
 *             `constants`: one number for each unit.
 *   step      (ops, options, x, state, w, c) -> the parts of the state after one step
 *   output    (ops, options, x, state, c) -> the output of the layer; without this function the first part of the state
 *
 * `step` is written like the equation of the Python class. Its arguments are the operations, the options of the layer,
 * the results x of `inputs`, the parts of the state, the matrices w and the constants c. The operation `gate` records
 * and edits the values of a gate.
 */
const Layers = (function () {
    const {rows} = Operations;

    // ----------------------------------------------------------------------------- layers with torch's parameter names

    /** Return a layer whose weights stack a block for each gate; `unfolded` names gates whose recurrent bias is apart. */
    function stacked({numStates = 1, unfolded = () => [], step}) {
        return {
            parts: ({hidden_size: size}) => Array(numStates).fill(size),
            gates: ({gates, hidden_size: size}) =>
                Object.fromEntries(gates.length > 1 ? gates.map((gate) => [gate, size]) : []),
            weights(options, weights, l) {
                const {gates, hidden_size: size} = options, apart = unfolded(options);
                const ofInput = weights[`weight_ih_l${l}`], ofState = weights[`weight_hh_l${l}`];
                const bias = weights[`bias_ih_l${l}`];
                const zeros = {shape: bias.shape, data: new Float64Array(bias.data.length)};
                const recurrentBias = weights[`bias_hh_l${l}`] || zeros;
                const inputs = {}, matrices = {}, constants = {};
                gates.forEach(function (gate, i) {
                    const b = rows(bias, i, size).data, c = rows(recurrentBias, i, size).data;
                    const isApart = apart.includes(gate);
                    inputs[gate] = {
                        weight: rows(ofInput, i, size),
                        bias: b.map((value, unit) => (isApart ? value : value + c[unit])),
                    };
                    const block = gates.length > 1 ? `weight_hh_l${l}/${gate}` : `weight_hh_l${l}`;
                    matrices[gate] = {block, ...rows(ofState, i, size)};
                    if (isApart) constants[gate] = c;
                });
                return {inputs, matrices, constants};
            },
            step,
        };
    }

    /** See rnn_tasks/cores/elman.py. */
    const elman = stacked({
        step(ops, options, x, [hidden], w) {
            const activation = ops[options.activation];
            return [activation(ops.addmm(x.hidden, hidden, w.hidden))];
        },
    });

    /** See rnn_tasks/cores/scratch_gru.py. Without an update gate it is 0; without a reset gate it is 1. */
    const gru = stacked({
        unfolded: ({gates, reset}) => (gates.includes("reset") && reset !== "before" ? ["new"] : []),
        step({addmm, add, mul, lerp, sigmoid, tanh, gate}, options, x, [hidden], w, c) {
            const reset = w.reset && gate("reset", sigmoid(addmm(x.reset, hidden, w.reset)));
            const update = w.update && gate("update", sigmoid(addmm(x.update, hidden, w.update)));
            let sum;
            if (!reset) sum = addmm(x.new, hidden, w.new);
            else if (options.reset === "before") sum = addmm(x.new, mul(reset, hidden), w.new);
            else sum = add(x.new, mul(reset, addmm(c.new, hidden, w.new)));
            const fresh = gate("new", tanh(sum));
            return [update ? lerp(fresh, hidden, update) : fresh];
        },
    });

    /** See rnn_tasks/cores/scratch_lstm.py. */
    const lstm = stacked({
        numStates: 2,
        step({addmm, add, mul, sigmoid, tanh, gate}, options, x, [hidden, cell], w) {
            const inputGate = gate("input", sigmoid(addmm(x.input, hidden, w.input)));
            const forgetGate = gate("forget", sigmoid(addmm(x.forget, hidden, w.forget)));
            const fresh = gate("cell", tanh(addmm(x.cell, hidden, w.cell)));
            const outputGate = gate("output", sigmoid(addmm(x.output, hidden, w.output)));
            const after = add(mul(forgetGate, cell), mul(inputGate, fresh));
            return [mul(outputGate, tanh(after)), after];
        },
    });

    return {elman, gru, lstm};
})();

if (typeof module !== "undefined") module.exports = Layers;
