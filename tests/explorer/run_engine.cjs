"use strict";

/*
 * Calls functions of the engine. The global `data` is {name: {description, weights, calls: [[function, ...arguments]]}};
 * without a description, functions of Engine itself are called. Prints {name: [result, ...]} as JSON; the result of a
 * call that fails is {error}. {"float64": [...]} in the data is a Float64Array; typed arrays are printed as lists.
 */
for (const [name, file] of [["Operations", "operations"], ["Layers", "layers"], ["Engine", "engine"]]) {
    globalThis[name] = require(`../../rnn_tasks/explorer/${file}.js`);
}

const revive = (_, value) => (value && value.float64 ? Float64Array.from(value.float64) : value);
const cases = JSON.parse(JSON.stringify(globalThis.data), revive);
const results = {};
for (const [name, {description, weights, calls}] of Object.entries(cases)) {
    const target = description ? Engine.network(description, weights) : Engine;
    results[name] = calls.map(function ([key, ...values]) {
        try {
            return typeof target[key] === "function" ? target[key](...values) : target[key];
        } catch (error) {
            return {error: error.message};
        }
    });
}
process.stdout.write(JSON.stringify(results, (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value)));
