"use strict";

/*
 * Calls functions of the engine. Standard input: {name: {description, weights, calls: [[function, ...arguments]]}} as
 * JSON; without a description, functions of Engine itself are called. Standard output: {name: [result, ...]}; the result
 * of a call that fails is {error}. {"float64": [...]} in the input is a Float64Array; typed arrays are printed as lists.
 */
const {readFileSync} = require("fs");
const Engine = require("../../rnn_tasks/explorer/engine.js");

const input = readFileSync(0, "utf8");
const cases = JSON.parse(input, (_, value) => (value && value.float64 ? Float64Array.from(value.float64) : value));
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
