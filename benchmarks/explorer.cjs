"use strict";

/*
 * Measures the engine of the explorer page: node explorer.cjs KIND HIDDEN_SIZE SYMBOLS TIME SEQUENCES SCORED_TIME.
 * Prints JSON: the number of weights, and the seconds of each function; "first" is the first call of this process.
 */
for (const [name, file] of [["Operations", "operations"], ["Layers", "layers"], ["Engine", "engine"]]) {
    globalThis[name] = require(`../rnn_tasks/explorer/${file}.js`);
}

const [kind, ...sizes] = process.argv.slice(2);
const [hiddenSize, numSymbols, time, sequences, scoredTime] = sizes.map(Number);
const gates = {elman: ["hidden"], gru: ["reset", "update", "new"], lstm: ["input", "forget", "cell", "output"]}[kind];
const rows = gates.length * hiddenSize;
let state = 1;

/** Return a number from -1 to 1 (linear congruential generator). */
function random() {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
}

function weight(...shape) {
    const data = new Float64Array(shape.reduce((a, b) => a * b));
    return {shape, data: data.map(() => random() / Math.sqrt(hiddenSize))};
}

function symbols(count) {
    return Int32Array.from({length: count}, () => Math.floor(((random() + 1) / 2) * numSymbols));
}

function seconds(work) {
    const start = performance.now();
    work();
    return (performance.now() - start) / 1000;
}

const weights = {
    "core.weight_ih_l0": weight(rows, numSymbols),
    "core.weight_hh_l0": weight(rows, hiddenSize),
    "core.bias_ih_l0": weight(rows),
    "core.bias_hh_l0": weight(rows),
    "readout.weight": weight(numSymbols, hiddenSize),
    "readout.bias": weight(numSymbols),
};
const layer = {kind, gates, activation: "tanh", reset: "after", num_layers: 1};
const network = Engine.network({layer: {...layer, input_size: numSymbols, hidden_size: hiddenSize}}, weights);
const sequence = {inputs: [symbols(time)]};
const data = {
    inputs: symbols(sequences * scoredTime),
    targets: symbols(sequences * scoredTime),
    memory: new Uint8Array(sequences * scoredTime).fill(1),
    time: scoredTime,
};
const replacements = Array.from({length: 8}, (_, symbol) => symbol);
const result = {weights: Object.values(weights).reduce((sum, {data: numbers}) => sum + numbers.length, 0)};
result.first = seconds(() => network.run(sequence, {record: true}));
result.forward = seconds(() => network.run(sequence, {record: true}));
result.gradient = seconds(() => network.gradient(sequence, {}, time - 1, 0));
result.exchange = seconds(() => network.exchange(sequence, {}, time - 1, 0, replacements, 0, 1));
result.score = seconds(() => network.score(data, {}, 0, sequences));
process.stdout.write(JSON.stringify(result));
