/**
 * Numbers about states and texts. Everything is deterministic.
 *
 * `rows` are arrays of numbers of equal length `size`, for instance Float64Arrays with the state at one step.
 */
const Statistics = (() => {
  "use strict";

  /**
   * Return a random generator: Mulberry32 by T. Ettinger (https://gist.github.com/tommyettinger/46a874533244883189143505d203312c).
   *
   * @param {number} seed An integer from 0 to 2^32 - 1.
   * @returns {function(): number} A function that returns the next random number, uniform in [0, 1), with a resolution of 32 bits.
   */
  function random(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  /** Return the mean of each column, Float64Array(size); zeros without rows. */
  function mean(rows, size) {
    const result = new Float64Array(size);
    for (const row of rows) for (let column = 0; column < size; column += 1) result[column] += row[column];
    if (rows.length) for (let column = 0; column < size; column += 1) result[column] /= rows.length;
    return result;
  }

  /**
   * Return the variance of each column: the mean squared distance from the mean.
   *
   * @param {ArrayLike<number>[]} rows The rows.
   * @param {number} size Number of columns.
   * @returns {Float64Array} (size); zeros without rows.
   */
  function variance(rows, size) {
    const means = mean(rows, size);
    const result = new Float64Array(size);
    for (const row of rows) {
      for (let column = 0; column < size; column += 1) result[column] += (row[column] - means[column]) ** 2;
    }
    if (rows.length) for (let column = 0; column < size; column += 1) result[column] /= rows.length;
    return result;
  }

  /**
   * Return the correlation ratio of each column with the class of its row: the square root of the share of the variance
   * that is between the means of classes. 0: all classes have the same mean; 1: the class determines the value.
   *
   * @param {ArrayLike<number>[]} rows The rows.
   * @param {number} size Number of columns.
   * @param {ArrayLike<number>} classes The class of each row, >= 0; rows of class -1 are ignored.
   * @returns {Float64Array} (size), from 0 to 1; 0 for constant columns.
   */
  function correlationRatio(rows, size, classes) {
    const groups = new Map();
    const used = [];
    rows.forEach((row, index) => {
      if (classes[index] < 0) return;
      if (!groups.has(classes[index])) groups.set(classes[index], []);
      groups.get(classes[index]).push(row);
      used.push(row);
    });
    const means = mean(used, size);
    const total = variance(used, size);
    const between = new Float64Array(size);
    for (const members of groups.values()) {
      const groupMeans = mean(members, size);
      const share = members.length / used.length;
      for (let column = 0; column < size; column += 1) {
        between[column] += share * (groupMeans[column] - means[column]) ** 2;
      }
    }
    return between.map((value, column) => {
      // The variance of a constant column may differ from 0 by rounding errors.
      const constant = total[column] <= 1e-28 * means[column] ** 2;
      return constant ? 0 : Math.sqrt(Math.min(1, value / total[column]));
    });
  }

  /**
   * Return how much each number of the state changes, on average, at the steps that read each symbol. The first step of a
   * sequence is not counted: there is no state before it.
   *
   * @param {ArrayLike<number>[][]} states For each sequence the states after its steps.
   * @param {ArrayLike<number>[]} symbols For each sequence the symbols that it reads.
   * @param {number} size Numbers of a state.
   * @param {number} numSymbols Number of symbols.
   * @returns {{mean: Float64Array[], count: Int32Array}} For each symbol the mean change of each number, Float64Array(size), zeros if the symbol is not
   *   read; and the number of steps that read it.
   */
  function meanChange(states, symbols, size, numSymbols) {
    const means = Array.from({ length: numSymbols }, () => new Float64Array(size));
    const count = new Int32Array(numSymbols);
    states.forEach((sequence, index) => {
      for (let step = 1; step < sequence.length; step += 1) {
        const symbol = symbols[index][step];
        const change = means[symbol];
        count[symbol] += 1;
        for (let column = 0; column < size; column += 1) change[column] += sequence[step][column] - sequence[step - 1][column];
      }
    });
    means.forEach((change, symbol) => {
      if (count[symbol]) for (let column = 0; column < size; column += 1) change[column] /= count[symbol];
    });
    return { mean: means, count };
  }

  /**
   * Return the first principal components, by orthogonal iteration (G. H. Golub and C. F. Van Loan, "Matrix Computations", 8.2.4).
   *
   * The time is that of rows * size * min(rows, size) / 2 multiplications, and of at most 2e8 more for the iteration.
   *
   * @param {ArrayLike<number>[]} rows The rows.
   * @param {number} size Number of columns.
   * @param {number} [count] Number of components; 2 by default.
   * @returns {{mean: Float64Array, axes: Float64Array[], shares: number[]}} The mean (size); the axes, each of (size) and
   *   length 1, with a positive entry of largest size; and the share of the variance along each axis. An axis along which
   *   there is no variance is zero.
   */
  function principalComponents(rows, size, count = 2) {
    const means = mean(rows, size);
    const centred = rows.map((row) => means.map((value, column) => row[column] - value));
    const columns = Array.from({ length: size }, (_, column) => Float64Array.from(centred, (row) => row[column]));
    // Both matrices of products have the same eigenvalues, except for zeros: take the smaller one.
    const byRows = rows.length < size;
    const vectors = byRows ? centred : columns;
    const products = innerProducts(vectors);
    const order = vectors.length;
    let total = 0;
    for (let index = 0; index < order; index += 1) total += products[index * order + index];
    const { eigenvectors, eigenvalues } = largestEigenvectors(products, order, count, 1e-14 * total);
    const axes = eigenvectors.map((vector) => {
      const axis = byRows ? combination(vector, centred, size) : vector;
      return withSign(normalised(axis) ?? axis);
    });
    while (axes.length < count) axes.push(new Float64Array(size));
    const shares = axes.map((_, index) => (total > 0 && index < eigenvalues.length ? eigenvalues[index] / total : 0));
    return { mean: means, axes, shares };
  }

  /** Return the inner products of all pairs of vectors, Float64Array(n * n). */
  function innerProducts(vectors) {
    const order = vectors.length;
    const result = new Float64Array(order * order);
    for (let first = 0; first < order; first += 1) {
      for (let second = 0; second <= first; second += 1) {
        const value = dot(vectors[first], vectors[second]);
        result[first * order + second] = value;
        result[second * order + first] = value;
      }
    }
    return result;
  }

  function dot(one, other) {
    let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0];
    let index = 0;
    for (; index + 3 < one.length; index += 4) {
      sum0 += one[index] * other[index];
      sum1 += one[index + 1] * other[index + 1];
      sum2 += one[index + 2] * other[index + 2];
      sum3 += one[index + 3] * other[index + 3];
    }
    for (; index < one.length; index += 1) sum0 += one[index] * other[index];
    return sum0 + sum1 + sum2 + sum3;
  }

  /** Return the sum of rows, each multiplied by a factor. */
  function combination(factors, rows, size) {
    const result = new Float64Array(size);
    rows.forEach((row, index) => {
      for (let column = 0; column < size; column += 1) result[column] += factors[index] * row[column];
    });
    return result;
  }

  /** Return the vector divided by its length; null for a vector of zeros. */
  function normalised(vector) {
    const length = Math.sqrt(dot(vector, vector));
    return length > 0 ? vector.map((value) => value / length) : null;
  }

  /** Return the vector with a sign such that its largest entry, without regard to signs, is positive. */
  function withSign(vector) {
    let largest = 0;
    for (const value of vector) if (Math.abs(value) > Math.abs(largest)) largest = value;
    return largest < 0 ? vector.map((value) => -value) : vector;
  }

  /**
   * Return the eigenvectors with the largest eigenvalues of a symmetric matrix without negative eigenvalues, and those
   * eigenvalues; eigenvalues up to `negligible` are left out.
   */
  function largestEigenvectors(matrix, order, count, negligible) {
    const generator = random(1);
    const eigenvectors = Array.from({ length: Math.min(count, order) }, () =>
      Float64Array.from({ length: order }, () => generator() - 0.5),
    );
    const matrixRows = Array.from({ length: order }, (_, row) => matrix.subarray(row * order, (row + 1) * order));
    const maxIterations = Math.max(50, Math.floor(2e8 / (order * order * count + 1)));
    const eigenvalues = [];
    for (let iteration = 0; iteration < maxIterations; iteration += 1) {
      let change = 0;
      eigenvalues.length = 0;
      for (let index = 0; index < eigenvectors.length; index += 1) {
        const product = Float64Array.from(matrixRows, (row) => dot(row, eigenvectors[index]));
        for (let earlier = 0; earlier < index; earlier += 1) {
          const overlap = dot(product, eigenvectors[earlier]);
          for (let entry = 0; entry < order; entry += 1) product[entry] -= overlap * eigenvectors[earlier][entry];
        }
        const length = Math.sqrt(dot(product, product));
        if (!(length > negligible)) {
          eigenvectors.length = index; // no variance is left
          break;
        }
        for (let entry = 0; entry < order; entry += 1) {
          const value = product[entry] / length;
          change = Math.max(change, Math.abs(value - eigenvectors[index][entry]));
          eigenvectors[index][entry] = value;
        }
        eigenvalues.push(length);
      }
      if (change < 1e-12) break;
    }
    return { eigenvectors, eigenvalues };
  }

  /**
   * Return the coordinates of a row along principal components.
   *
   * @param {ArrayLike<number>} row The row.
   * @param {object} components What `principalComponents` returned.
   * @returns {number[]} One coordinate for each component.
   */
  function project(row, { mean: means, axes }) {
    return axes.map((axis) => axis.reduce((sum, value, column) => sum + value * (row[column] - means[column]), 0));
  }

  /**
   * Prepare a grammar: a stream of independent sentences, each followed by a space. No sentence with its space is a prefix of another.
   *
   * @param {{sentences: string[], probabilities: number[]}} description All sentences, and the probability of each.
   * @returns {{sentences: string[], probabilities: number[]}} The sentences with their spaces, sorted.
   */
  function grammar({ sentences, probabilities }) {
    const pairs = sentences.map((sentence, index) => [`${sentence} `, probabilities[index]]);
    pairs.sort(([one], [other]) => (one < other ? -1 : Number(one > other)));
    return { sentences: pairs.map(([sentence]) => sentence), probabilities: pairs.map(([, probability]) => probability) };
  }

  /** Return the first index from low to high at which a condition is true; it stays true once it is true. */
  function firstIndex(low, high, condition) {
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (condition(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  function sum(numbers, low, high) {
    let result = 0;
    for (let index = low; index < high; index += 1) result += numbers[index];
    return result;
  }

  /**
   * Read a text, and call `visit` for each character of sentences that the grammar can produce.
   *
   * @returns {?{low: number, high: number, position: number}} The range of sentences that the text may continue with, and the number of
   *   characters of the last sentence that are in the text; null if the grammar cannot produce the text.
   */
  function parse({ sentences, probabilities }, text, visit = () => {}) {
    let [low, high, position] = [0, sentences.length, 0];
    for (let index = text.startsWith(" ") ? 1 : 0; index < text.length; index += 1) {
      const character = text[index];
      const depth = position;
      const start = firstIndex(low, high, (number) => sentences[number][depth] >= character);
      const end = firstIndex(start, high, (number) => sentences[number][depth] > character);
      if (start === end) return null;
      visit(low, high, start, end);
      [low, high, position] = [start, end, position + 1];
      if (position === sentences[low].length) [low, high, position] = [0, sentences.length, 0];
    }
    return { low, high, position };
  }

  /**
   * Return the exact probabilities of the next character of a text.
   *
   * @param {object} prepared What `grammar` returned.
   * @param {string} text A text that starts with a sentence, or with a space and a sentence; it may end anywhere.
   * @returns {?Object<string, number>} The probability of each possible character; null if the grammar cannot produce the text.
   */
  function grammarOdds(prepared, text) {
    const end = parse(prepared, text);
    if (end === null) return null;
    const odds = {};
    for (let number = end.low; number < end.high; number += 1) {
      const character = prepared.sentences[number][end.position];
      odds[character] = (odds[character] ?? 0) + prepared.probabilities[number];
    }
    const total = Object.values(odds).reduce((result, value) => result + value, 0);
    for (const character of Object.keys(odds)) odds[character] /= total;
    return odds;
  }

  /**
   * Return the exact log probability of each character of a text given the characters before it.
   *
   * @param {object} prepared What `grammar` returned.
   * @param {string} text A text that starts with a sentence, or with a space (of probability 1) and a sentence.
   * @returns {(?number)[]} Log probabilities in nats; null from the first character on that the grammar cannot produce.
   */
  function logProbabilities(prepared, text) {
    const logs = text.startsWith(" ") ? [0] : [];
    parse(prepared, text, (low, high, start, end) => {
      const { probabilities } = prepared;
      logs.push(end - start === high - low ? 0 : Math.log(sum(probabilities, start, end) / sum(probabilities, low, high)));
    });
    while (logs.length < text.length) logs.push(null);
    return logs;
  }

  return {
    random, variance, correlationRatio, meanChange, principalComponents, project, grammar, grammarOdds, logProbabilities,
  };
})();
if (typeof module !== "undefined") module.exports = Statistics;
