"use strict";

/**
 * Recurrent networks step by step: states, gates, edits, gradients, exchanged inputs and scores.
 *
 * The input of a step is a symbol, or a list of real features. The outputs of a step are logits of symbols, or real
 * values. A target is a symbol, or a list of real values.
 *
 * The equation of a layer (layers.js) uses operations on vectors (operations.js). Each operation can record how the
 * gradient passes through it, so the same equation serves the forward and the backward pass.
 *
 * Numbers of B sequences are stored one sequence after another: number i of sequence b has index b * size + i.
 */
const Engine = (function () {
    const {addProduct, transpose, operations} = Operations;
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

    /** Return a number from the standard normal distribution (Box and Muller, 1958), a function of the arguments. */
    function normal(seed, sequence, step, number) {
        const radius = (murmurHash3([sequence, step, number, 0], seed) + 0.5) / 2 ** 32;
        const angle = (murmurHash3([sequence, step, number, 1], seed) + 0.5) / 2 ** 32;
        return Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
    }

    // --------------------------------------------------------------------------------------------------- network

    /**
     * Build a network.
     *
     * @param {Object} description `network` of a run: layer {kind, num_layers, input_size, hidden_size, and the options
     *     of the kind}, condition_at_input, conditional_readout, real_inputs and real_targets; also num_inputs, the
     *     number of input symbols or features, which is required only if conditions are part of the input as one-hot
     *     vectors.
     * @param {Object<string, {shape: number[], data: Float64Array}>} weights Decoded weights by name, such as
     *     "core.weight_hh_l0" and "readout.weight", with the shapes of the Python network.
     * @returns {Object} The network: its sizes stateSize, outputSize, hiddenSize, numLayers and numInputs; gateSizes, the
     *     size of each gate by its name ("layer0/reset"); the lists blocks ("weight_hh_l0/reset", the names of the recurrent
     *     matrices) and squareBlocks (those that are not diagonals); and the functions matrix, run, gradient, exchange and
     *     score.
     *
     * All functions take edits. Each key is optional:
     *   units: {"17": 0}             hold this number of the flat state at a value after each step
     *   gates: {"layer0/update": 1}  hold a gate at a value; "layer0/update/17" holds the gate of one unit
     *   connections: {"weight_hh_l0/update": [[i, j]]}  set entries of a matrix to 0: unit j does not reach unit i
     *   scale: {"weight_hh_l0/update": 0.9}  multiply a matrix
     *   noise: {level: 0.1, seed: 1}  add normal noise to the state after each step, before numbers are held; level is
     *                                 its standard deviation; it depends on (seed, sequence, step, number) only
     *   reset: [7, 9]                set the state to 0 before these steps
     * The flat state has the order of flatten_state in rnn_tasks/analysis/flow.py: the hidden states of all layers,
     * then the cells of all layers. The readout and the next layer read the edited state.
     */
    function network(description, weights) {
        const options = description.layer;
        const {num_layers: numLayers, hidden_size: hiddenSize, input_size: inputSize} = options;
        checkNames("kind", [options.kind], Object.keys(Layers));
        const layer = Layers[options.kind];
        const partSizes = layer.parts(options);
        const stateSize = numLayers * sumOf(partSizes);
        const conditionAtInput = description.condition_at_input, conditionalReadout = description.conditional_readout;
        const embedding = weights["symbol_embedding.weight"];
        const conditionEmbedding = weights["condition_embedding.weight"];
        const {real_inputs: realInputs = false, real_targets: realTargets = false} = description;
        const lossOf = realTargets ? squaredError : loss;
        const numInputs = embedding ? embedding.shape[0] : description.num_inputs || inputSize;
        const numFeatures = embedding ? embedding.shape[1] : numInputs;
        const gateSizes = Object.fromEntries(ofEachLayer((l) =>
            Object.entries(layer.gates(options)).map(([gate, size]) => [`layer${l}/${gate}`, size])).flat());
        const coreWeights = Object.fromEntries(
            Object.entries(weights).map(([name, weight]) => [name.replace(/^core\./, ""), weight]));
        const layers = ofEachLayer((l) => layer.weights(options, coreWeights, l));
        const matrices = layers.flatMap((own) => Object.values(own.matrices)).filter(({block}) => block);
        const blocks = matrices.map(({block}) => block);
        const squareBlocks = matrices.filter(({shape}) => shape.length === 2).map(({block}) => block);
        const readouts = splitReadout();
        const outputSize = readouts[0].weight.shape[0];
        const numConditions = countConditions();
        const knownTerms = new Map();

        // ........................................................................................ parts of the weights

        function ofEachLayer(f) {
            return Array.from({length: numLayers}, (_, l) => f(l));
        }

        /** Return {weight (outputs, hidden), bias} of each condition; one pair without conditions. */
        function splitReadout() {
            const {shape, data} = weights["readout.weight"], bias = weights["readout.bias"].data;
            if (!conditionalReadout) return [{weight: {shape, data}, bias}];
            const [conditions, rows, columns] = shape;
            return Array.from({length: conditions}, (_, condition) => ({
                weight: transpose({shape: [rows, columns], data: row(data, rows * columns, condition)}),
                bias: row(bias, columns, condition),
            }));
        }

        /** Return the number of conditions; 0 for a network without conditions. */
        function countConditions() {
            if (conditionalReadout) return readouts.length;
            if (conditionAtInput) return embedding ? conditionEmbedding.shape[0] : inputSize - numInputs;
            return 0;
        }

        /**
         * Return a recurrent matrix that is in effect.
         *
         * @param {string} block Its name, one of `blocks`.
         * @param {Object} edits The edits.
         * @returns {Float64Array} hidden x hidden, row i has the inputs of unit i; of a diagonal the real and the imaginary
         *     part of each number, one after the other. Do not change it.
         */
        function matrix(block, edits = {}) {
            checkNames("matrix", [block], blocks);
            const scale = (edits.scale || {})[block], cut = (edits.connections || {})[block];
            const {shape: [, columns], data} = matrices[blocks.indexOf(block)];
            if (scale === undefined && cut === undefined) return data;
            const edited = data.map((weight) => weight * (scale === undefined ? 1 : scale));
            for (const [i, j] of cut || []) edited[i * columns + j] = 0;
            return edited;
        }

        /** Return the weights of the readout that sequence b uses. */
        function readoutOf(conditions, b) {
            return readouts[conditionalReadout ? conditions[b] : 0];
        }

        /** Return the outputs of the network for outputs of the last layer. */
        function readOut(hidden, conditions) {
            const count = hidden.length / hiddenSize;
            const outputs = new Float64Array(count * outputSize);
            for (let b = 0; b < count; b++) {
                const {weight, bias} = readoutOf(conditions, b);
                const part = row(outputs, outputSize, b);
                part.set(bias);
                addProduct(part, weight.data, row(hidden, hiddenSize, b), outputSize, hiddenSize);
            }
            return outputs;
        }

        // .............................................................................................. the flat state

        /** Return the index in the flat state of the first number of a part of a layer's state. */
        function firstNumber(l, part) {
            return numLayers * sumOf(partSizes.slice(0, part)) + l * partSizes[part];
        }

        /** Return `data` or `grad` of the vectors [layer][part] of a state, in the order of the flat state. */
        function flatten(state, field) {
            const count = state[0][0].data.length / partSizes[0];
            const flat = new Float64Array(count * stateSize);
            state.forEach((parts, l) => parts.forEach(function (vector, part) {
                for (let b = 0; b < count; b++) {
                    flat.set(row(vector[field], partSizes[part], b), b * stateSize + firstNumber(l, part));
                }
            }));
            return flat;
        }

        /** Return the vectors [layer][part] of a state: the inverse of `flatten`. */
        function unflatten(flat) {
            const count = flat.length / stateSize;
            return ofEachLayer((l) => partSizes.map(function (size, part) {
                const data = new Float64Array(count * size);
                for (let b = 0; b < count; b++) {
                    const first = b * stateSize + firstNumber(l, part);
                    data.set(flat.subarray(first, first + size), b * size);
                }
                return {data, grad: null};
            }));
        }

        // ....................................................................................................... edits

        function checkEdits(edits) {
            for (const unit of Object.keys(edits.units || {})) checkIndex("number of the state", unit, stateSize);
            checkNames("gate", Object.keys(edits.gates || {}).map((key) => key.split("/", 2).join("/")), Object.keys(gateSizes));
            checkNames("matrix", Object.keys(edits.scale || {}), blocks);
            checkNames("matrix", Object.keys(edits.connections || {}), squareBlocks);
        }

        function checkConditions(conditions, count) {
            if (!numConditions) return;
            if (!conditions) throw new Error("this network needs the condition of each sequence");
            for (let b = 0; b < count; b++) checkIndex("condition", conditions[b], numConditions);
        }

        /** Return the held values of a part of a layer's state, NaN where no value is held; null without values. */
        function heldUnits({units = {}}, l, part) {
            const values = Float64Array.from({length: partSizes[part]}, function (_, unit) {
                const value = units[firstNumber(l, part) + unit];
                return value === undefined ? NaN : value;
            });
            return values.every(Number.isNaN) ? null : values;
        }

        /** Return the held values of a gate, as `heldUnits`. The value of one unit overrides that of the whole gate. */
        function heldGate({gates: held = {}}, name) {
            const values = Float64Array.from({length: gateSizes[name]}, function (_, unit) {
                const value = `${name}/${unit}` in held ? held[`${name}/${unit}`] : held[name];
                return value === undefined ? NaN : value;
            });
            return values.every(Number.isNaN) ? null : values;
        }

        // .................................................................................................... one step

        /** Return what the first layer's maps make of an input, by name; condition is null if conditions are not part of the input. */
        function termsOfInput(input, condition) {
            const x = new Float64Array(inputSize);
            if (realInputs) x.set(input);
            else if (embedding) x.set(row(embedding.data, numFeatures, input));
            else x[input] = 1;
            if (condition !== null) {
                if (embedding) x.set(row(conditionEmbedding.data, numFeatures, condition), numFeatures);
                else x[numFeatures + condition] = 1;
            }
            return mapValues(layers[0].inputs, function ({weight, bias}) {
                const terms = bias.slice();
                addProduct(terms, weight.data, x, bias.length, inputSize);
                return terms;
            });
        }

        /** Return the terms of a symbol, which are computed once. */
        function termsOfSymbol(symbol, condition) {
            const key = `${symbol} ${condition}`;
            if (!knownTerms.has(key)) {
                checkIndex("symbol", symbol, numInputs);
                knownTerms.set(key, termsOfInput(symbol, condition));
            }
            return knownTerms.get(key);
        }

        /**
         * Return a function (time, inputs, before) -> {state, output, terms, gates} that computes one step of all sequences.
         *
         * `state` and `before` hold vectors [layer][part]; `before` may be null for zeros. `output` is the output
         * of the last layer, `terms` what the maps of the first layer make of the inputs, `gates` the values of all gates.
         *
         * @param {Object} edits The edits.
         * @param {?number[]} conditions The condition of each sequence.
         * @param {number[]} sequences The number of each sequence, on which its noise depends.
         * @param {?Array} tape See `operations`.
         */
        function stepper(edits, conditions, sequences, tape = null) {
            const ops = operations(tape), count = sequences.length;
            checkEdits(edits);
            checkConditions(conditions, count);
            const constant = (numbers) => ops.vector(repeat(numbers, count));
            const w = layers.map((own) => mapValues(
                own.matrices, ({block, shape, data}) => ({shape, data: block ? matrix(block, edits) : data})));
            const biases = layers.map((own) => mapValues(own.inputs, ({bias}) => constant(bias)));
            const c = layers.map((own) => mapValues(own.constants, constant));
            const zeros = ofEachLayer(() => partSizes.map((size) => constant(new Float64Array(size))));
            const unitValues = ofEachLayer((l) => partSizes.map((_, part) => heldUnits(edits, l, part)));
            const gateValues = mapValues(gateSizes, (_, name) => heldGate(edits, name));

            function termsOfInputs(inputs) {
                const ofInput = conditionAtInput ? conditions : Array(count).fill(null);
                const termsOf = realInputs ? termsOfInput : termsOfSymbol;
                const terms = inputs.map((input, b) => termsOf(input, ofInput[b]));
                return mapValues(layers[0].inputs, function ({bias: {length: size}}, name) {
                    const data = new Float64Array(count * size);
                    terms.forEach((own, b) => data.set(own[name], b * size));
                    return ops.vector(data);
                });
            }

            function noise(time, l, part) {
                const {level, seed} = edits.noise, size = partSizes[part];
                const data = new Float64Array(count * size);
                for (let i = 0; i < data.length; i++) {
                    const sequence = sequences[Math.floor(i / size)];
                    data[i] = level * normal(seed, sequence, time, firstNumber(l, part) + (i % size));
                }
                return ops.vector(data);
            }

            function editState(value, time, l, part) {
                const noisy = edits.noise && edits.noise.level ? ops.add(value, noise(time, l, part)) : value;
                return unitValues[l][part] ? ops.hold(noisy, unitValues[l][part]) : noisy;
            }

            return function (time, inputs, before) {
                const start = before && !(edits.reset || []).includes(time) ? before : zeros;
                const terms = termsOfInputs(inputs), recorded = {};
                let below = null;
                const state = ofEachLayer(function (l) {
                    function gate(name, value) {
                        const key = `layer${l}/${name}`;
                        const edited = gateValues[key] ? ops.hold(value, gateValues[key]) : value;
                        recorded[key] = edited.data;
                        return edited;
                    }
                    const x = l
                        ? mapValues(layers[l].inputs, ({weight}, name) => ops.addmm(biases[l][name], below, weight))
                        : terms;
                    const after = layer.step({...ops, gate}, options, x, start[l], w[l], c[l])
                        .map((value, part) => editState(value, time, l, part));
                    below = layer.output ? layer.output(ops, options, x, after, start[l], w[l], c[l]) : after[0];
                    // The next layer and the next step read separate vectors: `state.grad` excludes the next layer.
                    return tape ? after.map((value) => ops.identity(value)) : after;
                });
                return {state, output: layer.output ? below : state[numLayers - 1][0], terms, gates: recorded};
            };
        }

        // ............................................................................................ public functions

        /**
         * Run sequences.
         *
         * @param {{inputs: Array[], conditions: ?number[]}} sequences B sequences of T inputs, and the condition of each;
         *     null without conditions. An input is a symbol, or an array of numInputs real features.
         * @param {{edits: Object, record: boolean, start: ?{step: number, state: Float64Array}}} options The edits;
         *     whether to return gates; the number of the first step and the flat state (B * stateSize) before it, null
         *     for 0 and zeros.
         * @returns {{outputs: Float64Array[], states: Float64Array[], gates: Object<string, Float64Array[]>,
         *     hidden: Float64Array[]}} For each step: logits or real values (B * outputSize), flat states (B * stateSize),
         *     gates by name (B * their size), and the outputs of the last layer (B * hiddenSize), which the readout reads.
         */
        function run({inputs, conditions = null}, {edits = {}, record = false, start = null} = {}) {
            const advance = stepper(edits, conditions, [...inputs.keys()]);
            const result = {outputs: [], states: [], gates: {}, hidden: []};
            if (record) for (const name of Object.keys(gateSizes)) result.gates[name] = [];
            let state = start && unflatten(start.state);
            for (let t = 0; t < inputs[0].length; t++) {
                const after = advance((start ? start.step : 0) + t, inputs.map((steps) => steps[t]), state);
                state = after.state;
                const hidden = after.output.data;
                result.states.push(flatten(state, "data"));
                result.hidden.push(hidden);
                result.outputs.push(readOut(hidden, conditions));
                if (record) for (const name of Object.keys(gateSizes)) result.gates[name].push(after.gates[name]);
            }
            return result;
        }

        /**
         * Return the gradient of the loss of one step by earlier states and inputs, by back-propagation through time.
         *
         * @param {{inputs: number[][], conditions: ?number[]}} sequences One sequence, as in `run`.
         * @param {{edits: Object}} options The edits.
         * @param {number} step The step whose loss is differentiated.
         * @param {(number|number[])} target A symbol: the loss is -log softmax(outputs)[target], in nats. Real values: the
         *     loss is the mean squared error of the outputs.
         * @returns {{loss: number, states: Float64Array, values: Float64Array[], inputs: Float64Array}} The loss; for
         *     each step 0..step the L2 norm of the gradient by the flat state after the step (and by the output, if it is
         *     not a part of the state); the gradient by the indicator of each symbol, or by each feature (numInputs); and
         *     the L2 norm of the gradient by the encoded input, which is a one-hot or an embedded vector, or the features.
         */
        function gradient({inputs: [values], conditions = null}, {edits = {}}, step, target) {
            const tape = [], steps = [], advance = stepper(edits, conditions, [0], tape);
            for (let t = 0; t <= step; t++) steps.push(advance(t, [values[t]], t ? steps[t - 1].state : null));
            const hidden = steps[step].output;
            const outputs = readOut(hidden.data, conditions);
            const ofOutputs = slopes(outputs, target);
            addProduct(hidden.grad, transpose(readoutOf(conditions, 0).weight).data, ofOutputs, hiddenSize, outputSize);
            while (tape.length) tape.pop()();
            const maps = mapValues(layers[0].inputs, ({weight}) => transpose(weight).data);
            const encoded = steps.map(function ({terms}) {
                const ofInput = new Float64Array(inputSize);
                for (const [name, {grad}] of Object.entries(terms)) {
                    addProduct(ofInput, maps[name], grad, inputSize, grad.length);
                }
                return ofInput.slice(0, numFeatures);
            });
            return {
                loss: lossOf(outputs, 0, outputSize, target),
                states: Float64Array.from(steps, function ({state, output}) {
                    const ofState = flatten(state, "grad");
                    return norm(layer.output ? [...ofState, ...output.grad] : ofState);
                }),
                values: embedding ? encoded.map(gradientOfIndicators) : encoded,
                inputs: Float64Array.from(encoded, norm),
            };
        }

        /** Return the gradient of the loss of one step by its outputs. */
        function slopes(outputs, target) {
            if (realTargets) return outputs.map((output, i) => (2 * (output - target[i])) / outputSize);
            const ofLogits = softmax(outputs, 0, outputSize);
            ofLogits[target] -= 1;
            return ofLogits;
        }

        function gradientOfIndicators(ofEmbedded) {
            const ofIndicators = new Float64Array(numInputs);
            addProduct(ofIndicators, embedding.data, ofEmbedded, numInputs, numFeatures);
            return ofIndicators;
        }

        /**
         * Return how the loss of one step changes if the input of an earlier step is replaced.
         *
         * @param {{inputs: Array[], conditions: ?number[]}} sequences One sequence, as in `run`.
         * @param {{edits: Object, result: ?Object}} options The edits; what `run` returned for the sequence with these
         *     edits, null to run it.
         * @param {number} step The step whose loss is computed.
         * @param {(number|number[])} target The target of the loss, as in `gradient`.
         * @param {Array} replacements The inputs that replace the input of a step.
         * @param {number} from The first step whose input is replaced.
         * @param {number} to The step after the last one whose input is replaced.
         * @returns {{loss: number, changes: Float64Array[]}} The loss of the sequence; and for each step from..to-1 the
         *     loss with each replacement minus the loss of the sequence.
         */
        function exchange(sequences, {edits = {}, result = null}, step, target, replacements, from = 0, to = step + 1) {
            const {inputs: [values], conditions = null} = sequences;
            const count = replacements.length;
            const repeated = conditions && Array(count).fill(conditions[0]);
            const advance = stepper(edits, repeated, Array(count).fill(0));
            const {states, outputs} = result || run({inputs: [values.slice(0, step + 1)], conditions}, {edits});
            const original = lossOf(outputs[step], 0, outputSize, target);
            const changes = [];
            for (let t = from; t < to; t++) {
                let now = {state: t ? unflatten(repeat(states[t - 1], count)) : null};
                for (let time = t; time <= step; time++) {
                    now = advance(time, time === t ? replacements : Array(count).fill(values[time]), now.state);
                }
                const after = readOut(now.output.data, repeated);
                changes.push(Float64Array.from(
                    replacements, (_, b) => lossOf(after, b * outputSize, outputSize, target) - original));
            }
            return {loss: original, changes};
        }

        /**
         * Compare the answers to some sequences with their targets.
         *
         * @param {{inputs: ArrayLike<number>, targets: ArrayLike<number>, memory: ArrayLike<number>,
         *     conditions: ?ArrayLike<number>, time: number}} sequences Inputs and targets of sequences of `time` steps,
         *     one sequence after another: one number for each symbol, numInputs for features, outputSize for real
         *     targets. Targets of -100 or NaN are not scored; memory is 1 at steps that count as answers.
         * @param {{edits: Object}} options The edits.
         * @param {number} from The first sequence.
         * @param {number} to The sequence after the last one.
         * @returns {{answers: number, right: number, loss: number, scored: number, wrong: number[][]}} The number of
         *     answers and of right answers (0 for real targets), the sum of the losses of the scored steps, the number
         *     of scored steps, and [sequence, step, answer] for each wrong answer.
         */
        function score({inputs, targets, memory, conditions = null, time}, {edits = {}}, from, to) {
            const sequences = Array.from({length: to - from}, (_, b) => from + b);
            const ownConditions = conditions && sequences.map((sequence) => conditions[sequence]);
            const advance = stepper(edits, ownConditions, sequences);
            const result = {answers: 0, right: 0, loss: 0, scored: 0, wrong: []};
            let now = {state: null};
            for (let t = 0; t < time; t++) {
                const ofStep = sequences.map((sequence) => sequence * time + t);
                const ofInputs = ofStep.map((i) => (realInputs ? row(inputs, numInputs, i) : inputs[i]));
                now = advance(t, ofInputs, now.state);
                const outputs = readOut(now.output.data, ownConditions);
                sequences.forEach(function (sequence, b) {
                    const i = ofStep[b], target = realTargets ? row(targets, outputSize, i) : targets[i];
                    if (target === NOT_SCORED || (realTargets && Number.isNaN(target[0]))) return;
                    result.scored += 1;
                    result.loss += lossOf(outputs, b * outputSize, outputSize, target);
                    if (realTargets || !memory[i]) return;
                    const answer = largest(row(outputs, outputSize, b));
                    result.answers += 1;
                    if (answer === target) result.right += 1;
                    else result.wrong.push([sequence, t, answer]);
                });
            }
            return result;
        }

        const sizes = {stateSize, outputSize, hiddenSize, numLayers, numInputs};
        return {...sizes, gateSizes, blocks, squareBlocks, matrix, run, gradient, exchange, score};
    }

    // --------------------------------------------------------------------------------------------------- numbers

    /**
     * Return the softmax of a part of an array.
     *
     * @param {Float64Array} logits The array.
     * @param {number} offset Index of the first logit.
     * @param {number} size Number of logits.
     * @returns {Float64Array} The probabilities.
     */
    function softmax(logits, offset, size) {
        const {sum, shares} = exponentials(logits.subarray(offset, offset + size));
        return shares.map((share) => share / sum);
    }

    /** Return -log softmax(logits)[symbol] of a part of an array, in nats. */
    function loss(logits, offset, size, symbol) {
        const {most, sum} = exponentials(logits.subarray(offset, offset + size));
        return most - logits[offset + symbol] + Math.log(sum);
    }

    /** Return the mean squared error of a part of an array. */
    function squaredError(outputs, offset, size, targets) {
        let sum = 0;
        for (let i = 0; i < size; i++) sum += (outputs[offset + i] - targets[i]) ** 2;
        return sum / size;
    }

    /** Return the largest number, exp(number - largest) of each number, and their sum. */
    function exponentials(numbers) {
        const most = numbers.reduce((a, b) => Math.max(a, b));
        const shares = numbers.map((number) => Math.exp(number - most));
        return {most, shares, sum: shares.reduce((a, b) => a + b, 0)};
    }

    /** Return the index of the first largest number; -1 if one is not a number. */
    function largest(numbers) {
        if (numbers.some(Number.isNaN)) return -1;
        return numbers.reduce((best, number, i) => (number > numbers[best] ? i : best), 0);
    }

    /** Return the L2 norm. */
    function norm(numbers) {
        return Math.sqrt(numbers.reduce((sum, number) => sum + number * number, 0));
    }

    /** Return row `index` of a matrix with `size` columns, without copying. */
    function row(data, size, index) {
        return data.subarray(index * size, (index + 1) * size);
    }

    /** Return the sum of the numbers. */
    function sumOf(numbers) {
        return numbers.reduce((sum, number) => sum + number, 0);
    }

    /** Return an object with f(value, name) of each value. */
    function mapValues(object, f) {
        return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, f(value, name)]));
    }

    /** Return the numbers, `count` times. */
    function repeat(numbers, count) {
        const data = new Float64Array(numbers.length * count);
        for (let b = 0; b < count; b++) data.set(numbers, b * numbers.length);
        return data;
    }

    function checkIndex(name, index, size) {
        if (!(index >= 0 && index < size)) throw new RangeError(`${name} must be in 0..${size - 1}, got ${index}`);
    }

    function checkNames(kind, names, known) {
        for (const name of names) {
            if (!known.includes(name)) throw new RangeError(`${kind} must be one of ${known.join(", ")}; got ${name}`);
        }
    }

    return {decode, decodeAll, network, softmax};
})();

if (typeof module !== "undefined") module.exports = Engine;
