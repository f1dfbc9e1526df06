"use strict";

/**
 * Recurrent networks step by step: states, gates, edits, gradients, exchanged symbols and scores.
 *
 * A layer is one short function, written like `step` of its Python class. It uses operations on vectors. Each operation
 * can record how the gradient passes through it, so the same function serves the forward and the backward pass.
 *
 * Numbers of B sequences are stored one sequence after another: number i of sequence b has index b * size + i.
 */
const Engine = (function () {
    const NOT_SCORED = -100;

    // ---------------------------------------------------------------------------------------------------- arrays

    const TYPES = {
        uint8: Uint8Array,
        uint16: Uint16Array,
        int16: Int16Array,
        int32: Int32Array,
        float32: Float32Array,
        scaled16: Int16Array,
    };

    /**
     * Decode an array of the page's data.
     *
     * @param {{dtype: string, shape: number[], data: string, scale: ?number}} array Little-endian numbers as base64;
     *     dtype "scaled16" is int16 times `scale`.
     * @returns {{shape: number[], data: (Float64Array|Int32Array)}} The numbers in row-major order; integer types are
     *     decoded to Int32Array.
     */
    function decode({dtype, shape, data, scale}) {
        const text = atob(data);
        const bytes = new Uint8Array(text.length);
        for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
        const numbers = new TYPES[dtype](bytes.buffer); // all browsers run on little-endian machines
        if (dtype === "float32") return {shape, data: Float64Array.from(numbers)};
        if (dtype === "scaled16") return {shape, data: Float64Array.from(numbers, (number) => number * scale)};
        return {shape, data: Int32Array.from(numbers)};
    }

    /**
     * Decode several arrays.
     *
     * @param {Object<string, Object>} arrays Encoded arrays by name.
     * @returns {Object<string, Object>} Results of `decode` by name.
     */
    function decodeAll(arrays) {
        return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, decode(array)]));
    }

    // -------------------------------------------------------------------------------------------------- products

    /** Add W x of each sequence to `out`; W has `rows` rows and `columns` columns. */
    function addProduct(out, w, x, rows, columns) {
        const count = out.length / rows;
        for (let b = 0; b < count; b++) {
            const start = b * columns;
            let i = 0;
            for (; i + 3 < rows; i += 4) {
                const row0 = i * columns, row1 = row0 + columns, row2 = row1 + columns, row3 = row2 + columns;
                let sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
                for (let j = 0; j < columns; j++) {
                    const value = x[start + j];
                    sum0 += w[row0 + j] * value;
                    sum1 += w[row1 + j] * value;
                    sum2 += w[row2 + j] * value;
                    sum3 += w[row3 + j] * value;
                }
                out[b * rows + i] += sum0;
                out[b * rows + i + 1] += sum1;
                out[b * rows + i + 2] += sum2;
                out[b * rows + i + 3] += sum3;
            }
            for (; i < rows; i++) {
                let sum = 0;
                for (let j = 0; j < columns; j++) sum += w[i * columns + j] * x[start + j];
                out[b * rows + i] += sum;
            }
        }
    }

    /** Add W' g of each sequence to `out`: the backward pass of `addProduct`. */
    function addTransposedProduct(out, w, g, rows, columns) {
        const count = g.length / rows;
        for (let b = 0; b < count; b++) {
            const start = b * columns;
            for (let i = 0; i < rows; i++) {
                const value = g[b * rows + i];
                if (value === 0) continue;
                for (let j = 0; j < columns; j++) out[start + j] += w[i * columns + j] * value;
            }
        }
    }

    // ------------------------------------------------------------------------------------------------ operations

    /**
     * Return operations on vectors {data, grad}. With a tape, an operation appends a function that adds the gradient of
     * its result to the gradients of its arguments. Without a tape, grad is null.
     */
    function operations(tape) {
        function vector(data, backward) {
            const result = {data, grad: tape && new Float64Array(data.length)};
            if (tape && backward) tape.push(() => backward(result.grad, data));
            return result;
        }

        /** Return f(a) of each number; `slope` is the derivative as a function of f(a). */
        function elementwise(f, slope) {
            return function (a) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i++) data[i] = f(a.data[i]);
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) a.grad[i] += grad[i] * slope(data[i]);
                });
            };
        }

        return {
            vector,
            tanh: elementwise(Math.tanh, (y) => 1 - y * y),
            sigmoid: elementwise((x) => 1 / (1 + Math.exp(-x)), (y) => y * (1 - y)),
            relu: elementwise((x) => (x > 0 ? x : 0), (y) => (y > 0 ? 1 : 0)),
            identity: elementwise((x) => x, () => 1),

            /** Return x + W a. */
            addmm(x, a, w) {
                const [rows, columns] = w.shape;
                const data = Float64Array.from(x.data);
                addProduct(data, w.data, a.data, rows, columns);
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) x.grad[i] += grad[i];
                    addTransposedProduct(a.grad, w.data, grad, rows, columns);
                });
            },

            /** Return a + b. */
            add(a, b) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i++) data[i] = a.data[i] + b.data[i];
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) {
                        a.grad[i] += grad[i];
                        b.grad[i] += grad[i];
                    }
                });
            },

            /** Return a * b, elementwise. */
            mul(a, b) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i++) data[i] = a.data[i] * b.data[i];
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) {
                        a.grad[i] += grad[i] * b.data[i];
                        b.grad[i] += grad[i] * a.data[i];
                    }
                });
            },

            /** Return (1 - weight) * a + weight * b, elementwise. */
            lerp(a, b, weight) {
                const data = new Float64Array(a.data.length);
                for (let i = 0; i < data.length; i++) data[i] = a.data[i] + weight.data[i] * (b.data[i] - a.data[i]);
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) {
                        a.grad[i] += grad[i] * (1 - weight.data[i]);
                        b.grad[i] += grad[i] * weight.data[i];
                        weight.grad[i] += grad[i] * (b.data[i] - a.data[i]);
                    }
                });
            },

            /** Return a with some numbers of each sequence replaced; `values` has NaN where nothing is replaced. */
            hold(a, values) {
                const size = values.length;
                const data = a.data.map((number, i) => (Number.isNaN(values[i % size]) ? number : values[i % size]));
                return vector(data, function (grad) {
                    for (let i = 0; i < data.length; i++) if (Number.isNaN(values[i % size])) a.grad[i] += grad[i];
                });
            },
        };
    }

    // ---------------------------------------------------------------------------------------------------- layers

    /*
     * A layer is a function of operations, options, the input terms x of each gate, the state, the recurrent matrix w
     * of each gate, and the recurrent bias c of the gates that `unfolded` names. Other recurrent biases are part of x.
     * It returns the parts of the state after one step; the first part is the output. `gate` records and edits a gate.
     */
    const LAYERS = {
        /** See rnn_tasks/cores/elman.py. */
        elman: {
            numStates: 1,
            unfolded: () => [],
            step(ops, options, x, [hidden], w) {
                const activation = ops[options.activation];
                return [activation(ops.addmm(x.hidden, hidden, w.hidden))];
            },
        },

        /** See rnn_tasks/cores/scratch_gru.py. Without an update gate it is 0; without a reset gate it is 1. */
        gru: {
            numStates: 1,
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
        },

        /** See rnn_tasks/cores/scratch_lstm.py. */
        lstm: {
            numStates: 2,
            unfolded: () => [],
            step({addmm, add, mul, sigmoid, tanh, gate}, options, x, [hidden, cell], w) {
                const inputGate = gate("input", sigmoid(addmm(x.input, hidden, w.input)));
                const forgetGate = gate("forget", sigmoid(addmm(x.forget, hidden, w.forget)));
                const fresh = gate("cell", tanh(addmm(x.cell, hidden, w.cell)));
                const outputGate = gate("output", sigmoid(addmm(x.output, hidden, w.output)));
                const after = add(mul(forgetGate, cell), mul(inputGate, fresh));
                return [mul(outputGate, tanh(after)), after];
            },
        },
    };

    // ----------------------------------------------------------------------------------------------------- noise

    /** Return MurmurHash3 (32 bits, A. Appleby, 2008) of 32-bit words. */
    function murmurHash3(words, seed) {
        let hash = seed;
        for (let word of words) {
            word = Math.imul(word, 0xcc9e2d51);
            word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
            hash ^= word;
            hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
        }
        hash ^= 4 * words.length;
        hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
        hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
        return (hash ^ (hash >>> 16)) >>> 0;
    }

    /** Return a number from the standard normal distribution that depends on the arguments only (Box and Muller 1958). */
    function normal(seed, sequence, step, number) {
        const radius = (murmurHash3([sequence, step, number, 0], seed) + 0.5) / 2 ** 32;
        const angle = (murmurHash3([sequence, step, number, 1], seed) + 0.5) / 2 ** 32;
        return Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
    }

    // --------------------------------------------------------------------------------------------------- network

    /**
     * Build a network.
     *
     * @param {Object} description `network` of a run: layer {kind, gates, activation, reset, num_layers, input_size,
     *     hidden_size}, embedding_size, condition_at_input, conditional_readout; and num_symbols, the number of input
     *     symbols, which is required only if one-hot conditions are part of the input.
     * @param {Object<string, {shape: number[], data: Float64Array}>} weights Decoded weights by name, such as
     *     "core.weight_hh_l0" and "readout.weight".
     * @returns {Object} The network.
     */
    function network(description, weights) {
        const options = description.layer;
        const {gates, num_layers: numLayers, hidden_size: hiddenSize, input_size: inputSize} = options;
        const layer = LAYERS[options.kind];
        const stateSize = layer.numStates * numLayers * hiddenSize;
        const embedding = weights["symbol_embedding.weight"];
        const conditionEmbedding = weights["condition_embedding.weight"];
        const numSymbols = embedding ? embedding.shape[0] : description.num_symbols || inputSize;
        const symbolFeatures = embedding ? embedding.shape[1] : numSymbols;
        const gateNames = [];
        const blocks = [];
        for (let l = 0; l < numLayers; l++) {
            if (gates.length > 1) gateNames.push(...gates.map((gate) => `layer${l}/${gate}`));
            blocks.push(...gates.map((gate) => blockName(l, gate)));
        }
        const layers = Array.from({length: numLayers}, (_, l) => splitWeights(l));
        const readouts = splitReadout();
        const outputSize = readouts[0].weight.shape[0];
        const knownTerms = new Map();

        function blockName(l, gate) {
            return gates.length > 1 ? `weight_hh_l${l}/${gate}` : `weight_hh_l${l}`;
        }

        /** Return input matrices, biases and recurrent matrices of one layer, by gate. */
        function splitWeights(l) {
            const weightIh = weights[`core.weight_ih_l${l}`], weightHh = weights[`core.weight_hh_l${l}`];
            const biasIh = weights[`core.bias_ih_l${l}`], biasHh = weights[`core.bias_hh_l${l}`];
            const split = {u: {}, b: {}, w: {}, c: {}};
            gates.forEach(function (gate, index) {
                const rows = ({shape, data}) => data.subarray(
                    index * hiddenSize * (shape[1] || 1), (index + 1) * hiddenSize * (shape[1] || 1));
                const unfolded = layer.unfolded(options).includes(gate);
                const recurrentBias = biasHh ? rows(biasHh) : new Float64Array(hiddenSize);
                split.u[gate] = {shape: [hiddenSize, weightIh.shape[1]], data: rows(weightIh)};
                split.w[gate] = {shape: [hiddenSize, hiddenSize], data: rows(weightHh)};
                split.b[gate] = rows(biasIh).map((bias, i) => bias + (unfolded ? 0 : recurrentBias[i]));
                if (unfolded) split.c[gate] = recurrentBias;
            });
            return split;
        }

        /** Return {weight (outputs, hidden), bias} of each condition; a single pair without conditions. */
        function splitReadout() {
            const weight = weights["readout.weight"], bias = weights["readout.bias"].data;
            if (!description.conditional_readout) return [{weight, bias}];
            const [conditions, rows, columns] = weight.shape;
            return Array.from({length: conditions}, function (_, condition) {
                const data = new Float64Array(rows * columns);
                for (let i = 0; i < rows; i++) {
                    for (let k = 0; k < columns; k++) {
                        data[k * rows + i] = weight.data[(condition * rows + i) * columns + k];
                    }
                }
                return {
                    weight: {shape: [columns, rows], data},
                    bias: bias.subarray(condition * columns, (condition + 1) * columns),
                };
            });
        }

        function matrix(block, edits = {}) {
            const index = blocks.indexOf(block);
            if (index < 0) throw new Error(`there is no matrix ${block}; the matrices are ${blocks.join(", ")}`);
            const l = Math.floor(index / gates.length), gate = gates[index % gates.length];
            const scale = edits.scale && block in edits.scale ? edits.scale[block] : 1;
            const cut = (edits.connections && edits.connections[block]) || [];
            const data = layers[l].w[gate].data;
            if (scale === 1 && !cut.length) return data;
            const edited = data.map((number) => number * scale);
            for (const [i, j] of cut) edited[i * hiddenSize + j] = 0;
            return edited;
        }

        /** Return U x + b for each gate of the first layer: (gate) -> Float64Array(hidden). */
        function termsOfSymbol(symbol, condition) {
            const key = `${symbol} ${condition}`;
            if (!knownTerms.has(key)) {
                if (!(symbol >= 0 && symbol < numSymbols)) {
                    throw new RangeError(`a symbol must be in 0..${numSymbols - 1}, got ${symbol}`);
                }
                const x = new Float64Array(inputSize);
                if (embedding) x.set(row(embedding, symbol));
                else x[symbol] = 1;
                if (condition !== null && conditionEmbedding) x.set(row(conditionEmbedding, condition), symbolFeatures);
                else if (condition !== null) x[symbolFeatures + condition] = 1;
                knownTerms.set(key, Object.fromEntries(gates.map(function (gate) {
                    const terms = Float64Array.from(layers[0].b[gate]);
                    addProduct(terms, layers[0].u[gate].data, x, hiddenSize, inputSize);
                    return [gate, terms];
                })));
            }
            return knownTerms.get(key);
        }

        function row({shape, data}, index) {
            return data.subarray(index * shape[1], (index + 1) * shape[1]);
        }

        /** Return one vector for all sequences that repeats the numbers of one sequence. */
        function repeat(numbers, count) {
            const data = new Float64Array(numbers.length * count);
            for (let b = 0; b < count; b++) data.set(numbers, b * numbers.length);
            return data;
        }

        /**
         * Return a function (time, symbols, state) -> {state, terms, gates} that computes one step of all sequences.
         *
         * `state` has vectors [layer][part]; null for zeros. `sequences` numbers the sequences for the noise.
         */
        function stepper(edits, conditions, sequences, tape, record) {
            const ops = operations(tape);
            const count = sequences.length;
            const matrices = layers.map((_, l) => Object.fromEntries(gates.map(
                (gate) => [gate, {shape: [hiddenSize, hiddenSize], data: matrix(blockName(l, gate), edits)}])));
            const biases = layers.map(({c}) => Object.fromEntries(Object.keys(c).map(
                (gate) => [gate, ops.vector(repeat(c[gate], count))])));
            const heldUnits = layers.map((_, l) => Array.from({length: layer.numStates}, (_, part) => heldValues(
                Object.entries(edits.units || {}).map(([unit, value]) => [unit - firstNumber(l, part), value]))));
            const heldGates = Object.fromEntries(gateNames.map((name) => [name, heldValues(gateEdits(name, edits))]));
            const level = edits.noise ? edits.noise.level : 0;

            function inputTerms(symbols) {
                const terms = symbols.map((symbol, b) => termsOfSymbol(
                    symbol, description.condition_at_input ? conditions[b] : null));
                return Object.fromEntries(gates.map(function (gate) {
                    const data = new Float64Array(count * hiddenSize);
                    for (let b = 0; b < count; b++) data.set(terms[b][gate], b * hiddenSize);
                    return [gate, ops.vector(data)];
                }));
            }

            function termsOfLayer(l, below) {
                return Object.fromEntries(gates.map(function (gate) {
                    const bias = ops.vector(repeat(layers[l].b[gate], count));
                    return [gate, ops.addmm(bias, below, layers[l].u[gate])];
                }));
            }

            function zeros() {
                return layers.map(() => Array.from(
                    {length: layer.numStates}, () => ops.vector(new Float64Array(count * hiddenSize))));
            }

            /** Return a part of the state after noise and held numbers. */
            function edited(value, l, part, time) {
                let result = value;
                if (level) {
                    const noise = new Float64Array(value.data.length);
                    for (let i = 0; i < noise.length; i++) {
                        const number = firstNumber(l, part) + (i % hiddenSize);
                        const sequence = sequences[Math.floor(i / hiddenSize)];
                        noise[i] = level * normal(edits.noise.seed, sequence, time, number);
                    }
                    result = ops.add(result, ops.vector(noise));
                }
                return heldUnits[l][part] ? ops.hold(result, heldUnits[l][part]) : result;
            }

            return function (time, symbols, before) {
                const start = !before || (edits.reset && edits.reset.includes(time)) ? zeros() : before;
                const terms = inputTerms(symbols);
                const gateValues = {};
                let below = null;
                const state = layers.map(function (_, l) {
                    function gate(name, value) {
                        const held = heldGates[`layer${l}/${name}`];
                        const result = held ? ops.hold(value, held) : value;
                        if (record) gateValues[`layer${l}/${name}`] = result.data;
                        return result;
                    }
                    const x = l ? termsOfLayer(l, below) : terms;
                    const parts = layer.step({...ops, gate}, options, x, start[l], matrices[l], biases[l])
                        .map((value, part) => edited(value, l, part, time));
                    below = parts[0];
                    // A separate vector: its gradient is that of the state, without the layer above at this step.
                    return tape ? parts.map(ops.identity) : parts;
                });
                return {state, terms, gates: gateValues};
            };
        }

        /** Return the index in the flat state of the first number of a part of a layer's state. */
        function firstNumber(l, part) {
            return (part * numLayers + l) * hiddenSize;
        }

        /** Return the values [[index, value]] as an array of `hiddenSize` with NaN elsewhere; null without values. */
        function heldValues(entries) {
            const values = new Float64Array(hiddenSize).fill(NaN);
            for (const [index, value] of entries) if (index >= 0 && index < hiddenSize) values[index] = value;
            return values.every(Number.isNaN) ? null : values;
        }

        /** Return [[unit, value]] of the edits of a gate; the edit of a single unit overrides that of the whole gate. */
        function gateEdits(name, {gates: held = {}}) {
            const entries = name in held ? Array.from({length: hiddenSize}, (_, unit) => [unit, held[name]]) : [];
            const prefix = `${name}/`;
            for (const [key, value] of Object.entries(held)) {
                if (key.startsWith(prefix)) entries.push([Number(key.slice(prefix.length)), value]);
            }
            return entries;
        }

        /** Return the numbers of [layer][part] vectors in the order of the flat state. */
        function flatten(state, count, field = "data") {
            const flat = new Float64Array(count * stateSize);
            state.forEach((parts, l) => parts.forEach(function (vector, part) {
                for (let b = 0; b < count; b++) {
                    const numbers = vector[field].subarray(b * hiddenSize, (b + 1) * hiddenSize);
                    flat.set(numbers, b * stateSize + firstNumber(l, part));
                }
            }));
            return flat;
        }

        /** Return [layer][part] vectors: the inverse of `flatten`. */
        function unflatten(flat) {
            const count = flat.length / stateSize;
            return layers.map((_, l) => Array.from({length: layer.numStates}, function (_, part) {
                const data = new Float64Array(count * hiddenSize);
                for (let b = 0; b < count; b++) {
                    const first = b * stateSize + firstNumber(l, part);
                    data.set(flat.subarray(first, first + hiddenSize), b * hiddenSize);
                }
                return {data, grad: null};
            }));
        }

        function readoutOf(conditions, b) {
            return readouts[description.conditional_readout ? conditions[b] : 0];
        }

        function readOut(hidden, conditions) {
            const count = hidden.length / hiddenSize;
            const logits = new Float64Array(count * outputSize);
            for (let b = 0; b < count; b++) {
                const {weight, bias} = readoutOf(conditions, b);
                const own = logits.subarray(b * outputSize, (b + 1) * outputSize);
                own.set(bias);
                addProduct(own, weight.data, hidden.subarray(b * hiddenSize, (b + 1) * hiddenSize), outputSize, hiddenSize);
            }
            return logits;
        }

        function run({inputs, conditions = null}, {edits = {}, record = false, start = null} = {}) {
            const count = inputs.length;
            const step = stepper(edits, conditions, [...inputs.keys()], null, record);
            const result = {logits: [], states: [], gates: {}, hidden: []};
            if (record) for (const name of gateNames) result.gates[name] = [];
            let state = start && unflatten(start.state);
            for (let t = 0; t < inputs[0].length; t++) {
                const after = step((start ? start.step : 0) + t, inputs.map((symbols) => symbols[t]), state);
                state = after.state;
                result.states.push(flatten(state, count));
                result.hidden.push(state[numLayers - 1][0].data);
                result.logits.push(readOut(state[numLayers - 1][0].data, conditions));
                if (record) for (const name of gateNames) result.gates[name].push(after.gates[name]);
            }
            return result;
        }

        return {stateSize, outputSize, hiddenSize, numLayers, numSymbols, gateNames, blocks, matrix, run};
    }

    /**
     * Return the softmax of a part of an array.
     *
     * @param {Float64Array} logits The array.
     * @param {number} offset Index of the first logit.
     * @param {number} size Number of logits.
     * @returns {Float64Array} The probabilities.
     */
    function softmax(logits, offset, size) {
        const part = logits.subarray(offset, offset + size);
        const largest = part.reduce((a, b) => Math.max(a, b), -Infinity);
        const exponentials = part.map((logit) => Math.exp(logit - largest));
        const sum = exponentials.reduce((a, b) => a + b, 0);
        return exponentials.map((value) => value / sum);
    }

    return {decode, decodeAll, network, softmax};
})();

if (typeof module !== "undefined") module.exports = Engine;
