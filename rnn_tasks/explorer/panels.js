"use strict";
/**
 * The panels of the page. Each panel has `draw(context, index, element)`, which shows run `index` in an element, and
 * `numbers(context, index)`, which returns what is shown as plain values. A panel keeps no state.
 *
 * context: {task, input, step, sequence, head, cell, width, view, actions, runs}; runs[index]: {model, view, part,
 * result, collected, order, memory, score, ranking}.
 */
const Panels = (() => {
    const LIKELIEST = 5;
    const DASHED = [5, 4];
    const SUPERSCRIPTS = Object.fromEntries(Array.from("-0123456789", (character, i) => [character, "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"[i]]));
    const round = (value, digits = 4) => Number(value.toPrecision(digits));
    const list = (values) => Array.from(values, (value) => (Number.isFinite(value) ? round(value, 6) : null));
    const element = (name, text = "", className = "") => {
        const created = document.createElement(name);
        created.textContent = text;
        created.className = className;
        return created;
    };
    const find = (root, name) => root.querySelector(`[data-part~="${name}"]`);

    /** Return the printed form of a number: three digits, a leading zero, a true minus sign. */
    function shown(value) {
        if (value === null || value === undefined || !Number.isFinite(value)) return "–";
        const size = Math.abs(value);
        if (size === 0 || (size >= 0.001 && size < 10000)) return String(round(value, 3)).replace("-", "−");
        const [digits, exponent] = value.toExponential(1).split("e");
        const raised = Array.from(exponent.replace("+", ""), (character) => SUPERSCRIPTS[character]).join("");
        return `${digits.replace("-", "−")}·10${raised}`;
    }

    /** Return the probabilities of the output symbols at a step. */
    function probabilities(result, step) {
        return Engine.softmax(result.logits[step], 0, result.logits[step].length);
    }

    /** Return the index of the largest number; the first one of equal numbers. */
    function argmax(values) {
        return values.reduce((best, value, index) => (value > values[best] ? index : best), 0);
    }

    /** Return the symbol that counts as the answer at a step: the target, or the network's own answer without target. */
    function answerSymbol(context, index, step) {
        const target = context.input.targets[step];
        return target === Inputs.NOT_SCORED ? argmax(context.runs[index].result.logits[step]) : target;
    }

    /** Return the loss of each step in nats, NaN without target. */
    function losses(context, index) {
        return context.input.targets.map((target, step) =>
            target === Inputs.NOT_SCORED ? NaN : -Math.log(probabilities(context.runs[index].result, step)[target]),
        );
    }

    /** Return the loss of a predictor that knows the grammar, per step; null unless the grammar can produce the input. */
    function exactLosses(context) {
        if (!context.grammar) return null;
        const { input, task } = context;
        const text = input.symbols.map((symbol) => task.input_characters[symbol]).join("");
        const last = input.targets[input.targets.length - 1];
        const next = last === Inputs.NOT_SCORED ? "" : task.input_characters[last];
        const logs = Statistics.logProbabilities(context.grammar, text + next);
        if (logs[1] === null) return null; // a stored sequence may start within a word
        return input.targets.map((target, step) =>
            target === Inputs.NOT_SCORED || logs[step + 1] === null ? NaN : -logs[step + 1],
        );
    }

    /** Fill an element with letters that can be clicked; values from -limit to limit are shown by their background. */
    function fillLetters(root, letters, values, limit, selected, titles, onClick) {
        const theme = Charts.theme();
        root.replaceChildren(
            ...letters.map((letter, step) => {
                const span = element("span", letter, step === selected ? "selected" : "");
                span.style.background = Charts.colourScale(values[step], limit, theme);
                span.style.color = Charts.inkOn(values[step], limit, theme);
                span.title = titles[step];
                span.addEventListener("click", () => onClick(step));
                return span;
            }),
        );
    }

    /** Return a canvas with rows of letters, for saving a text as a picture. */
    function lettersCanvas(context, rows) {
        const { head, cell } = context;
        const canvas = document.createElement("canvas");
        const theme = Charts.theme();
        const ratio = Math.max(
            1,
            Math.min(window.devicePixelRatio || 1, 16000 / (head + cell * context.input.symbols.length)),
        );
        const width = head + cell * context.input.symbols.length;
        canvas.width = Math.ceil(width * ratio);
        canvas.height = Math.ceil(24 * rows.length * ratio);
        canvas.style.width = `${width}px`;
        canvas.style.height = `${24 * rows.length}px`;
        const pen = canvas.getContext("2d");
        pen.scale(ratio, ratio);
        pen.textBaseline = "middle";
        rows.forEach((row, number) => {
            const middle = 24 * number + 12;
            pen.fillStyle = theme.muted;
            pen.textAlign = "left";
            pen.font = "12px system-ui, sans-serif";
            pen.fillText(row.label, 0, middle, head - 4);
            pen.textAlign = "center";
            row.letters.forEach((letter, step) => {
                const left = head + cell * step;
                if (row.colours) {
                    pen.fillStyle = row.colours[step];
                    pen.fillRect(left, 24 * number + 1, cell, 22);
                }
                const isWrong = row.wrong && row.wrong[step];
                pen.fillStyle = isWrong ? theme.wrong : theme.ink;
                pen.font = `${isWrong ? "bold " : ""}${Math.min(14, cell)}px ui-monospace, monospace`;
                pen.fillText(letter, left + cell / 2, middle);
            });
        });
        return canvas;
    }

    /** Return the width of the visible part of a scrolled chart. */
    const visibleWidth = (canvas) => canvas.parentElement.clientWidth || 300;

    const inputLetters = (context) => context.input.symbols.map((symbol) => context.task.input_symbols[symbol]);
    const outputLetter = (context, symbol) =>
        symbol === Inputs.NOT_SCORED ? " " : context.task.output_symbols[symbol];
    const answersOf = (context, index) => context.runs[index].result.logits.map(argmax);

    const answer = {
        title: "What does it answer?",

        /** Fill the time line and draw the losses; both are shared by the runs. */
        drawShared(context, table, canvas, accuracy) {
            const { input, step } = context;
            table.style.setProperty("--cell", `${context.cell}px`);
            table.style.setProperty("--head", `${context.head}px`);
            const row = (label, letters, className, classOf = () => "") => {
                const line = element("tr", "", className);
                line.append(element("th", label));
                letters.forEach((letter, t) => {
                    const td = element("td", letter, [classOf(t), t === step ? "selected" : ""].join(" ").trim());
                    td.dataset.step = t;
                    line.append(td);
                });
                return line;
            };
            const every = Math.max(1, Math.ceil(30 / context.cell / 5) * 5);
            const numbers = input.symbols.map((_, t) => (t % every === 0 ? String(t) : ""));
            const body = element("tbody");
            body.append(row("step", numbers, "number"), row("input", inputLetters(context), "input"));
            body.append(
                row(
                    "target",
                    input.targets.map((target) => outputLetter(context, target)),
                    "target",
                ),
            );
            context.runs.forEach((run, index) => {
                const answers = answersOf(context, index);
                const isWrong = (t) => input.targets[t] !== Inputs.NOT_SCORED && answers[t] !== input.targets[t];
                const label = context.runs.length > 1 ? `answer ${"AB"[index]}` : "answer";
                const letters = answers.map((symbol, t) =>
                    input.targets[t] === Inputs.NOT_SCORED && !context.task.is_text
                        ? " "
                        : outputLetter(context, symbol),
                );
                body.append(row(label, letters, "answer", (t) => (isWrong(t) ? "wrong" : "")));
            });
            table.replaceChildren(body);
            const baseline = context.task.baseline;
            const series = context.runs.map((run, index) => ({
                label: run.letter || "loss",
                values: losses(context, index),
            }));
            const exact = exactLosses(context);
            if (exact) series.push({ label: "exact odds", values: exact, dash: DASHED });
            const horizontal = [];
            if (baseline) horizontal.push({ label: baseline.name, value: baseline.loss, dash: DASHED });
            if (baseline && baseline.floor !== null)
                horizontal.push({ label: "lower bound", value: baseline.floor, dash: DASHED });
            Charts.lines(canvas, {
                width: visibleWidth(canvas),
                height: 150,
                series: series.map((line) => ({ ...line, points: true })),
                horizontal,
                selected: step,
                columnWidth: context.cell,
                left: context.head,
                yLabel: "loss (nats)",
                xLabel: "step",
            });
            const wrong = context.runs.map((_, index) => {
                const scored = input.targets.filter((target) => target !== Inputs.NOT_SCORED).length;
                const count = answersOf(context, index).filter(
                    (symbol, t) => input.targets[t] !== Inputs.NOT_SCORED && symbol !== input.targets[t],
                ).length;
                const name = context.runs.length > 1 ? `${"AB"[index]}: ` : "";
                return `${name}${count ? `${count} of ${scored} answers are wrong` : `all ${scored} answers are right`}`;
            });
            accuracy.textContent = `This input: ${wrong.join("; ")}.`;
            canvas.setAttribute("aria-label", `Loss per step. ${accuracy.textContent}`);
        },

        draw(context, index, root) {
            const { input, step, task } = context;
            const shares = probabilities(context.runs[index].result, step);
            const target = input.targets[step];
            const best = argmax(shares);
            const parts = [
                `At step ${step} it reads ${quoted(task.input_symbols[input.symbols[step]])}.`,
                `Its likeliest ${task.is_text ? "next symbol" : "answer"} is ${quoted(task.output_symbols[best])} (${shown(shares[best])}).`,
            ];
            if (target !== Inputs.NOT_SCORED) {
                const loss = -Math.log(shares[target]);
                parts.push(
                    best === target
                        ? "That is right."
                        : `Right is ${quoted(task.output_symbols[target])} (${shown(shares[target])}).`,
                    `Loss: ${shown(loss)} nats${task.baseline ? ` (${task.baseline.name}: ${shown(task.baseline.loss)})` : ""}.`,
                );
            } else parts.push("This step is not scored.");
            find(root, "sentence").textContent = parts.join(" ");
            const exact = exactOdds(context);
            const items = likeliest(shares, target).map((symbol) => ({
                label: task.output_symbols[symbol],
                value: shares[symbol],
                mark: exact ? exact[task.output_characters[symbol]] || 0 : null,
                text: shown(shares[symbol]) + (symbol === target ? " (right)" : ""),
            }));
            const canvas = find(root, "next");
            Charts.bars(canvas, {
                width: Math.min(root.clientWidth, 480),
                items,
                limit: 1,
                markLabel: exact ? "exact odds" : "",
            });
            canvas.setAttribute("aria-label", items.map((item) => `${item.label}: ${item.text}`).join(", "));
        },

        numbers(context, index) {
            const { result } = context.runs[index];
            return {
                answers: answersOf(context, index).map((symbol) => context.task.output_symbols[symbol]),
                loss: list(losses(context, index)),
                exact_loss: exactLosses(context) ? list(exactLosses(context)) : null,
                probabilities_at_step: list(probabilities(result, context.step)),
            };
        },

        canvases(context, root) {
            const rows = [{ label: "input", letters: inputLetters(context) }];
            rows.push({
                label: "target",
                letters: context.input.targets.map((target) => outputLetter(context, target)),
            });
            context.runs.forEach((_, index) => {
                const answers = answersOf(context, index);
                rows.push({
                    label: context.runs.length > 1 ? `answer ${"AB"[index]}` : "answer",
                    letters: answers.map((symbol) => outputLetter(context, symbol)),
                    wrong: answers.map(
                        (symbol, t) => context.input.targets[t] >= 0 && symbol !== context.input.targets[t],
                    ),
                });
            });
            return [lettersCanvas(context, rows), ...root.querySelectorAll("canvas")];
        },
    };

    const quoted = (symbol) => `“${symbol}”`;

    function likeliest(shares, target) {
        const sorted = Array.from(shares, (_, symbol) => symbol).sort((a, b) => shares[b] - shares[a] || a - b);
        const top = sorted.slice(0, LIKELIEST);
        return target === Inputs.NOT_SCORED || top.includes(target) ? top : [...top, target];
    }

    function exactOdds(context) {
        if (!context.grammar) return null;
        const { input, task, step } = context;
        const text = input.symbols
            .slice(0, step + 1)
            .map((symbol) => task.input_characters[symbol])
            .join("");
        return Statistics.grammarOdds(context.grammar, text);
    }

    /** Return the values of the shown part as rows of units (in the chosen order) by columns of steps. */
    function mapValues(run, order) {
        const rows = Models.rowsOf(run.part, run.result);
        const values = new Float64Array(order.length * rows.length);
        order.forEach((unit, row) =>
            rows.forEach((numbers, step) => (values[row * rows.length + step] = numbers[unit])),
        );
        return values;
    }

    const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

    /** Return the value that 98 % of the numbers do not exceed in size, so that one large unit does not hide the others. */
    function robustLimit(values) {
        const sizes = Float64Array.from(values, Math.abs).filter(Number.isFinite).sort();
        return sizes[Math.floor(0.98 * (sizes.length - 1))] || largest(sizes) || 1;
    }

    const state = {
        title: "What does it hold in its state?",

        draw(context, index, root) {
            const run = context.runs[index];
            const { order, values: quantity } = run.order;
            const values = mapValues(run, order);
            const limit = robustLimit(values);
            const steps = context.input.symbols.length;
            const canvas = find(root, "map");
            const geometry = Charts.heatMap(canvas, {
                values,
                rows: order.length,
                columns: steps,
                cellWidth: context.cell,
                cellHeight: Math.max(1, Math.min(14, Math.floor(360 / order.length))),
                limit,
                left: context.head,
                selectedRow: order.indexOf(run.view.unit),
                selectedColumn: context.step,
            });
            canvas.setAttribute("aria-label", `${run.part.name}: ${order.length} units over ${steps} steps`);
            canvas.onclick = (event) => {
                const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
                if (found) context.actions.choose(index, order[found.row], found.column);
            };
            canvas.onmousemove = (event) => {
                const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
                const value = found && values[found.row * steps + found.column];
                canvas.title = found ? `unit ${order[found.row]}, step ${found.column}: ${shown(value)}` : "";
            };
            const unit = run.view.unit;
            const trace = Models.rowsOf(run.part, run.result).map((row) => row[unit]);
            const named = quantity ? ` Its ${ORDERS[run.view.order]}: ${shown(quantity[unit])}.` : "";
            find(root, "sentence").textContent =
                `Unit ${unit} of ${run.part.name}: ${shown(trace[context.step])} at step ${context.step}. ` +
                `Full colours: ${shown(-limit)} and ${shown(limit)}.${named}`;
            const unitLimit = largest(trace) || 1;
            fillLetters(
                find(root, "coloured"),
                inputLetters(context),
                trace,
                unitLimit,
                context.step,
                trace.map((value, step) => `step ${step}: ${shown(value)}`),
                context.actions.setStep,
            );
            const traceCanvas = find(root, "trace");
            Charts.lines(traceCanvas, {
                width: visibleWidth(traceCanvas),
                height: 170,
                series: tracesOf(run, unit),
                horizontal: [{ value: 0 }],
                selected: context.step,
                columnWidth: context.cell,
                left: context.head,
                yLabel: `unit ${unit}`,
                xLabel: "step",
            });
            traceCanvas.setAttribute("aria-label", `The values of unit ${unit} over time`);
            drawMovers(context, run, root);
        },

        numbers(context, index) {
            const run = context.runs[index];
            return {
                part: run.part.name,
                order: run.view.order,
                units: Array.from(run.order.order),
                values: Models.rowsOf(run.part, run.result).map(list),
                unit: run.view.unit,
                traces: Object.fromEntries(tracesOf(run, run.view.unit).map((line) => [line.label, list(line.values)])),
            };
        },

        canvases(context, root) {
            const letters = [{ label: "input", letters: inputLetters(context) }];
            return [lettersCanvas(context, letters), ...root.querySelectorAll("canvas")];
        },
    };

    const ORDERS = {
        index: "index",
        variance: "variance",
        symbol: "correlation with the symbol k steps ago",
        condition: "correlation with the delay",
        axis: "first principal axis",
        cut: "loss of accuracy if cut",
    };

    /** Return the traces of a unit in all parts of its layer: state, cell and gates. */
    function tracesOf(run, unit) {
        const related = run.model.parts.filter((part) => part.layer === run.part.layer && part.size === run.part.size);
        const ordered = [run.part, ...related.filter((part) => part !== run.part)];
        return ordered.map((part) => ({
            label: labelOf(part),
            values: Models.rowsOf(part, run.result).map((row) => row[unit]),
            dash: part.gate && part !== run.part ? DASHED : [],
        }));
    }

    const CANDIDATES = ["new", "cell"];

    /** Return the name of a part without its layer; the candidate values of a gated layer are not gates. */
    function labelOf(part) {
        const name = part.name.replace(/^layer ?\d+[ /]/, "");
        if (!part.gate) return name;
        return CANDIDATES.includes(name) ? "candidate" : `${name} gate`;
    }

    function drawMovers(context, run, root) {
        const states = run.collected.results.map((result) => Models.rowsOf(run.part, result));
        const { mean, count } = Statistics.meanChange(
            states,
            run.collected.symbols,
            run.part.size,
            context.task.input_symbols.length,
        );
        const movers = context.task.input_symbols
            .map((label, symbol) => ({ label, value: count[symbol] ? mean[symbol][run.view.unit] : 0 }))
            .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
            .slice(0, 6)
            .map((item) => ({ ...item, text: shown(item.value) }));
        const canvas = find(root, "movers");
        Charts.bars(canvas, {
            width: Math.min(root.clientWidth, 480),
            items: movers,
            limit: largest(movers.map((m) => m.value)) || 1,
            signed: true,
        });
        canvas.setAttribute("aria-label", movers.map((item) => `${item.label}: ${item.text}`).join(", "));
    }

    const plane = {
        title: "Where does its state move?",

        draw(context, index, root) {
            const run = context.runs[index];
            const canvas = find(root, "plane");
            const { path, faint, components } = trajectory(run);
            const width = Math.min(root.clientWidth, 560);
            const letters = inputLetters(context);
            Charts.scatter(canvas, {
                width,
                height: Math.min(width, 420),
                points: path,
                faint,
                path: true,
                selected: context.step,
                labels: path.length <= 60 ? letters : [],
                xLabel: `component 1 (${percent(components.shares[0])} of the variance)`,
                yLabel: `component 2 (${percent(components.shares[1])})`,
            });
            const [x, y] = path[context.step];
            find(root, "sentence").textContent =
                `Step ${context.step}: ${shown(x)}, ${shown(y)}. Letters are the inputs.`;
            canvas.setAttribute(
                "aria-label",
                `Path of the state over ${path.length} steps in two principal components`,
            );
        },

        numbers(context, index) {
            const { path, components } = trajectory(context.runs[index]);
            return { path: path.map(list), shares_of_variance: list(components.shares) };
        },

        canvases: (context, root) => [...root.querySelectorAll("canvas")],
    };

    const percent = (share) => `${Math.round(100 * share)} %`;

    function trajectory(run) {
        const components = run.collected.components;
        const path = run.result.states.map((row) => Statistics.project(row, components));
        return { path, faint: run.collected.faint, components };
    }

    const memory = {
        title: "What does it remember for this answer?",

        draw(context, index, root) {
            const run = context.runs[index];
            const sentence = find(root, "sentence");
            const canvases = [find(root, "exchange"), find(root, "gradient")];
            root.classList.toggle("stale", !run.memory && run.model.live);
            if (!run.memory) {
                if (!run.model.live) sentence.textContent = "Not available: this network is shown by recorded traces.";
                return;
            }
            const { gradient, changes, symbol, replacements, loss, isComplete } = run.memory;
            const letters = inputLetters(context).slice(0, context.step + 1);
            const effect = Array.from(changes);
            sentence.textContent =
                `Answer at step ${context.step}: ${quoted(context.task.output_symbols[symbol])}, loss ${shown(loss)} nats. ` +
                `Measured: mean change of this loss when the symbol is replaced by ${replacements} other symbols in turn` +
                (isComplete ? "." : " (computing …).");
            const titles = letters.map(
                (_, t) => `step ${t}: gradient ${shown(gradient.inputs[t])}, measured ${shown(effect[t])} nats`,
            );
            const most = largest(gradient.inputs) || 1;
            fillLetters(
                find(root, "by-gradient"),
                letters,
                gradient.inputs.map((value) => -value),
                most,
                context.step,
                titles,
                context.actions.setStep,
            );
            const limit = largest(effect.filter(Number.isFinite)) || 1;
            fillLetters(
                find(root, "by-exchange"),
                letters,
                effect.map((value) => (Number.isFinite(value) ? value : 0)),
                limit,
                context.step,
                titles,
                context.actions.setStep,
            );
            Charts.lines(canvases[0], {
                width: visibleWidth(canvases[0]),
                height: 150,
                selected: context.step,
                columnWidth: context.cell,
                left: context.head,
                series: [
                    { label: "measured", values: padded(effect, context), points: true },
                    { label: "predicted by the gradient", values: padded(run.memory.predicted, context), dash: DASHED },
                ],
                horizontal: [{ value: 0 }],
                yLabel: "change of loss (nats)",
                xLabel: "exchanged step",
            });
            Charts.lines(canvases[1], {
                width: visibleWidth(canvases[0]),
                height: 150,
                selected: context.step,
                columnWidth: context.cell,
                left: context.head,
                series: [
                    { label: "by the state", values: padded(gradient.states, context), points: true },
                    { label: "by the input", values: padded(gradient.inputs, context), dash: DASHED },
                ],
                log: true,
                yLabel: "gradient norm",
                xLabel: "step",
            });
            canvases[0].setAttribute(
                "aria-label",
                "Measured change of the loss by the exchange of each earlier symbol",
            );
            canvases[1].setAttribute("aria-label", "Norm of the gradient of the loss by each earlier state and input");
        },

        numbers(context, index) {
            const found = context.runs[index].memory;
            if (!found) return null;
            return {
                answer: context.task.output_symbols[found.symbol],
                loss: found.loss,
                gradient_by_state: list(found.gradient.states),
                gradient_by_input: list(found.gradient.inputs),
                mean_change_of_loss_by_exchange: list(found.changes),
                change_predicted_by_gradient: list(found.predicted),
                replacements: found.replacements,
            };
        },

        canvases(context, root) {
            const letters = [{ label: "input", letters: inputLetters(context) }];
            return [lettersCanvas(context, letters), ...root.querySelectorAll("canvas")];
        },
    };

    /** Return values per step, followed by gaps up to the end of the input. */
    function padded(values, context) {
        return context.input.symbols.map((_, step) => (step < values.length ? values[step] : NaN));
    }

    const change = {
        title: "What happens if it is changed?",

        draw(context, index, root) {
            const run = context.runs[index];
            find(root, "score").textContent = scoreText(context, run);
            const { block, edits } = run.view;
            const factor = edits.scale[block] === undefined ? 1 : edits.scale[block];
            find(root, "scale-value").textContent = shown(factor);
            find(root, "noise-value").textContent = shown(edits.noise.level);
            if (!run.model.blocks.length) return;
            const values = run.model.eigenvalues(run.view.moment, block);
            const points = Array.from({ length: values.length / 2 }, (_, i) => [
                factor * values[2 * i],
                factor * values[2 * i + 1],
            ]);
            const width = Math.min(root.clientWidth - 20, 380);
            const eigenvalues = find(root, "eigenvalues");
            Charts.scatter(eigenvalues, {
                width,
                height: width,
                points,
                circle: 1,
                equal: true,
                xLabel: "real part",
                yLabel: "imaginary part",
            });
            const radius = largest(points.map(([re, im]) => Math.hypot(re, im)));
            eigenvalues.setAttribute("aria-label", `Eigenvalues of ${block}, spectral radius ${shown(radius)}`);
            const caption = `${block}: spectral radius ${shown(radius)}.`;
            if (!run.model.live) {
                find(root, "matrix-caption").textContent = caption;
                return;
            }
            const size = run.model.network(run.view.moment).hiddenSize;
            const matrix = run.model.network(run.view.moment).matrix(block, edits);
            const limit = largest(matrix) || 1;
            const canvas = find(root, "matrix");
            const cell = Math.max(1, Math.min(24, Math.floor(384 / size)));
            const crossed = edits.connections[block] || [];
            const unit = Math.min(run.view.unit, size - 1);
            const geometry = Charts.heatMap(canvas, {
                values: matrix,
                rows: size,
                columns: size,
                cellWidth: cell,
                cellHeight: cell,
                limit,
                selectedRow: unit,
                selectedColumn: unit,
                crossed,
            });
            find(root, "matrix-caption").textContent =
                `${caption} Row: unit that receives; column: unit that sends; the chosen unit is marked. Click an entry to cut this ` +
                `connection, or to restore it. Largest weight: ${shown(limit)}.`;
            canvas.setAttribute("aria-label", `The matrix ${block}, ${size} by ${size}`);
            canvas.onclick = (event) => {
                const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
                if (found) context.actions.toggleConnection(index, found.row, found.column);
            };
            canvas.onmousemove = (event) => {
                const found = Charts.cellAt(geometry, event.offsetX, event.offsetY);
                const value = found && matrix[found.row * size + found.column];
                canvas.title = found ? `to unit ${found.row} from unit ${found.column}: ${shown(value)}` : "";
            };
        },

        numbers(context, index) {
            const run = context.runs[index];
            const scores = Object.entries(run.score).map(([name, score]) => [
                name,
                score && { ...score, wrong: score.wrong.length },
            ]);
            return {
                edits: run.view.edits,
                score: Object.fromEntries(scores),
                ranking: run.ranking ? list(run.ranking.drops) : null,
            };
        },

        canvases: (context, root) => [...root.querySelectorAll("canvas")],
    };

    function scoreText(context, run) {
        if (!run.model.live)
            return `${run.model.run.reason} It is shown by recorded traces, and cannot be changed here.`;
        if (!context.sequences) return "The page has no stored sequences, so it cannot measure accuracy.";
        const { trained, edited } = run.score;
        const what = `on ${context.sequences.count} stored sequences`;
        const text = (score) =>
            `accuracy ${shown(score.right / score.answers)}, loss ${shown(score.loss / score.scored)} nats per step`;
        if (!trained) return `Accuracy ${what}:`;
        if (!Inputs.countEdits(run.view.edits)) return `Unchanged, ${what}: ${text(trained)}.`;
        const start = `Unchanged, ${what}: ${text(trained)}. With the changes: `;
        return edited ? `${start}${text(edited)}. ${lossesByGroup(context, trained, edited)}` : `${start}…`;
    }

    /** Return which symbols, and which delays, lose most accuracy by the changes. */
    function lossesByGroup(context, trained, edited) {
        const { sequences, task } = context;
        const worst = (groupOf, nameOf) => {
            const [before, after] = [trained, edited].map((score) =>
                Models.accuracyBy(sequences, score.wrong, groupOf),
            );
            const drops = Array.from(before, ([group, accuracy]) => ({
                group,
                accuracy,
                drop: accuracy - after.get(group),
            }));
            drops.sort((a, b) => b.drop - a.drop);
            const lost = drops.filter(({ drop }) => drop > 0.005).slice(0, 4);
            return lost
                .map(({ group, accuracy }) => `${nameOf(group)} ${shown(accuracy)} → ${shown(after.get(group))}`)
                .join(", ");
        };
        const bySymbol = worst(
            (sequence, step) => sequences.targets[sequence * sequences.time + step],
            (symbol) => quoted(task.output_symbols[symbol]),
        );
        const byDelay = sequences.conditions ? worst((sequence) => sequences.conditions[sequence], String) : "";
        return (
            (bySymbol && `Right symbols that lose most: ${bySymbol}. `) +
            (byDelay && `Delays that lose most: ${byDelay}.`)
        );
    }

    return { answer, state, plane, memory, change, ORDERS, shown, argmax, answerSymbol, element, find };
})();

if (typeof module !== "undefined") module.exports = Panels;
