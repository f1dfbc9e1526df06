"use strict";

/**
 * The layers that the page can run, by kind. A new layer is one more entry with these functions; `options` is the
 * description of the layer:
 *
 *   parts     sizes of the parts of the state
 *   gates     sizes of the gates, by name
 *   weights   (options, weights, l) -> {inputs, matrices, constants}: what layer l makes of the weights of the network,
 *             by name. `inputs` {weight, bias}: affine maps of the layer's input. `matrices` {shape, data, block}:
 *             those with a name `block` multiply the state from step to step. The page can scale them, and cut entries
 *             if they have rows and columns; a diagonal has one dimension. `constants`: one number for each unit.
 *   step      (ops, options, x, state, w, c) -> the parts of the state after one step
 *   output    (ops, options, x, state, before, w, c) -> the output of the layer, from the states after and before the
 *             step; a layer without this function outputs the first part of its state
 *
 * `step` is written like the equation of the Python class. Its arguments are the operations, the options of the layer,
 * the results x of `inputs`, the parts of the state, the matrices w and the constants c. The operation `gate` records
 * and edits the values of a gate.
 */
const Layers = (function () {
    const {rows} = Operations;

    // ----------------------------------------------------------------------------- layers with torch's parameter names

    /** Return a layer whose weights stack a block for each gate; `unfolded` names gates with a recurrent bias apart. */
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

    // --------------------------------------------------------------------------- layers that are linear in their state

    /** See rnn_tasks/cores/min_gru.py. */
    const mingru = {
        parts: ({hidden_size: size}) => [size],
        gates: ({hidden_size: size}) => ({update: size, new: size}),
        weights({hidden_size: size}, {"linear.weight": weight, "linear.bias": bias}) {
            const map = (i) => ({weight: rows(weight, i, size), bias: rows(bias, i, size).data});
            return {inputs: {update: map(0), new: map(1)}, matrices: {}, constants: {}};
        },
        step({lerp, sigmoid, positive, gate}, options, x, [hidden]) {
            const update = gate("update", sigmoid(x.update));
            return [lerp(gate("new", options.positive ? positive(x.new) : x.new), hidden, update)];
        },
    };

    /** See rnn_tasks/cores/lru.py. The state holds the real and the imaginary part of each number. */
    const lru = {
        parts: ({num_states: count}) => [2 * count],
        gates: () => ({}),
        weights({hidden_size: size}, {nu_log: nu, theta_log: theta, gamma_log: gamma, weight_in, weight_out, skip}) {
            const diagonal = new Float64Array(2 * nu.data.length);
            nu.data.forEach(function (value, i) {
                const radius = Math.exp(-Math.exp(value)), angle = Math.exp(theta.data[i]);
                diagonal.set([radius * Math.cos(angle), radius * Math.sin(angle)], 2 * i);
            });
            const pair = 2 * weight_in.shape[1];
            const scaled = weight_in.data.map((value, i) => Math.exp(gamma.data[Math.floor(i / pair)]) * value);
            const skipMatrix = skip.shape.length > 1 ? skip : diagonalMatrix(skip.data);
            return {
                inputs: {
                    state: {weight: {...weight_in, data: scaled}, bias: new Float64Array(diagonal.length)},
                    skip: {weight: skipMatrix, bias: new Float64Array(size)},
                },
                matrices: {diagonal: {block: "diagonal", shape: [diagonal.length], data: diagonal}, output: weight_out},
                constants: {},
            };
        },
        step: ({add, mulComplex}, options, x, [state], w) => [add(mulComplex(state, w.diagonal), x.state)],
        output: ({addmm}, options, x, [state], before, w) => addmm(x.skip, state, w.output),
    };

    /**
     * See rnn_tasks/cores/delta_net.py. The state holds the matrix of each head, and the last inputs, the oldest first.
     * `inputs` read x_t, `matrices` the earlier inputs.
     */
    const deltanet = {
        parts({hidden_size: size, heads, window, input_size: features}) {
            return [size ** 2 / heads, (window - 1) * features];
        },
        gates({hidden_size: size, heads, products, delta, decay}) {
            const names = [...(delta ? numbered("beta", products) : []), ...(decay === "learned" ? ["decay"] : [])];
            const keys = numbered("key", products).map((name) => [name, size]);
            return Object.fromEntries([...names.map((name) => [name, heads]), ...keys]);
        },
        weights({hidden_size: size, heads, products, delta, decay, input_size: features, window}, weights) {
            const maps = {query: weights["query.weight"]};
            for (let i = 0; i < products; i++) {
                maps[numbered("key", products)[i]] = rows(weights["key.weight"], i, size);
                maps[numbered("value", products)[i]] = rows(weights["value.weight"], i, size);
                if (delta) maps[numbered("beta", products)[i]] = rows(weights["beta.weight"], i, heads);
            }
            if (decay === "learned") maps.rate = weights["rate.weight"];
            const inputs = {}, matrices = {output: weights["output.weight"]};
            const blocks = Array.from({length: window}, (_, i) => window - 1 - i); // the last one reads x_t
            for (const [name, map] of Object.entries(maps)) {
                const bias = name === "rate" ? weights.rate_bias.data : new Float64Array(map.shape[0]);
                inputs[name] = {weight: columnBlocks(map, [0], features), bias};
                matrices[name] = columnBlocks(map, blocks.slice(0, -1), features);
            }
            inputs.copy = {
                weight: diagonalMatrix(new Float64Array(features).fill(1)),
                bias: new Float64Array(features),
            };
            const {data: norm} = weights["norm.weight"];
            const constants = {norm: Float64Array.from({length: size}, (_, i) => norm[i % norm.length])};
            if (decay === "learned") constants.speed = weights.log_rate.data.map((value) => -Math.exp(value));
            if (decay === "fixed") constants.decay = Float64Array.from({length: heads}, (_, i) => 1 - 2 ** (-5 - i));
            return {inputs, matrices, constants};
        },
        step(ops, options, x, [matrix, earlier], w, c) {
            const {add, addmm, mul, scale, times, exp, sigmoid, silu, softplus, unit} = ops;
            const {readMatrix, writeMatrix, append, gate} = ops;
            const {products, delta, decay} = options, size = options.hidden_size / options.heads;
            const [keys, values, betas] = ["key", "value", "beta"].map((name) => numbered(name, products));
            const read = (name) => addmm(x[name], earlier, w[name]);
            let factors = c.decay, after = matrix;
            if (decay === "learned") factors = gate("decay", exp(mul(c.speed, softplus(read("rate")))));
            if (decay) after = scale(after, factors);
            for (let i = 0; i < products; i++) {
                const key = gate(keys[i], unit(silu(read(keys[i])), size));
                let value = silu(read(values[i]));
                if (delta) {
                    const beta = gate(betas[i], times(sigmoid(read(betas[i])), options.max_beta));
                    value = scale(add(value, times(readMatrix(after, key, size), -1)), beta);
                }
                after = writeMatrix(after, key, value, size);
            }
            return [after, append(earlier, x.copy, options.input_size)];
        },
        output(ops, options, x, [matrix], [, earlier], w, c) {
            const size = options.hidden_size / options.heads;
            const query = ops.unit(ops.silu(ops.addmm(x.query, earlier, w.query)), size);
            const read = ops.times(ops.readMatrix(matrix, query, size), 1 / Math.sqrt(size));
            return ops.matmul(ops.mul(ops.rootMeanSquare(read, size), c.norm), w.output);
        },
    };

    /** Return the names of `count` things: name1, name2, ...; a single thing has no number. */
    function numbered(name, count) {
        return count === 1 ? [name] : Array.from({length: count}, (_, i) => `${name}${i + 1}`);
    }

    /** Return a matrix of some blocks of `size` columns of a matrix. */
    function columnBlocks({shape: [count, columns], data}, blocks, size) {
        const width = blocks.length * size, selected = new Float64Array(count * width);
        for (let row = 0; row < count; row++) {
            blocks.forEach(function (block, i) {
                const start = row * columns + block * size;
                selected.set(data.subarray(start, start + size), row * width + i * size);
            });
        }
        return {shape: [count, width], data: selected};
    }

    function diagonalMatrix(numbers) {
        const size = numbers.length, data = new Float64Array(size * size);
        numbers.forEach((number, i) => (data[i * size + i] = number));
        return {shape: [size, size], data};
    }

    return {elman, gru, lstm, mingru, lru, deltanet};
})();

if (typeof module !== "undefined") module.exports = Layers;
