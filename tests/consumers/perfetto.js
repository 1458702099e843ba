#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// perfetto.js FOLDER TRACE SQL...: what Perfetto's trace processor has read of a trace.
//
// FOLDER has the engine as the viewer ships it: engine_bundle.js, a web worker, and its WebAssembly.
// Both run here in a context that looks like a worker. One line of JSON is printed: for each query a
// list of rows, each an object by column.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, trace, ...queries] = process.argv.slice(2);
const APPEND = 1, FINALIZE = 2, QUERY = 3;  // TraceProcessorMethod
const PIECE = 1 << 20;

// ---- protocol buffers, as much of them as trace_processor.proto needs ------------------------------

function varint(value) {
	const bytes = [];
	for (value = BigInt.asUintN(64, BigInt(value)); value > 127n; value >>= 7n)
		bytes.push(Number(value & 127n) | 128);
	return Buffer.from([...bytes, Number(value)]);
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint(field << 3 | 2), varint(value.length), value]);

function readVarint(buffer, at) {
	let value = 0n, shift = 0n;
	for (;;) {
		const byte = buffer[at++];
		value |= BigInt(byte & 127) << shift;
		if (byte < 128)
			return [value, at];
		shift += 7n;
	}
}

// Lists of values by field: numbers as BigInt, all else as Buffer.
function parse(buffer) {
	const fields = {};
	for (let at = 0; at < buffer.length;) {
		let key, value;
		[key, at] = readVarint(buffer, at);
		const type = Number(key & 7n);
		if (type === 0) {
			[value, at] = readVarint(buffer, at);
		} else {
			let size = type === 1 ? 8n : 4n;
			if (type === 2)
				[size, at] = readVarint(buffer, at);
			value = buffer.subarray(at, at += Number(size));
		}
		(fields[key >> 3n] ??= []).push(value);
	}
	return fields;
}

function* packed(buffers) {
	for (const buffer of buffers ?? [])
		if (typeof buffer === 'bigint')
			yield buffer;
		else
			for (let at = 0, value; at < buffer.length;) {
				[value, at] = readVarint(buffer, at);
				yield value;
			}
}

// QueryResult: values by type, in the order of the cells.
function rowsOf(result, names, cells) {
	for (const name of result[1] ?? [])
		names.push(name.toString());
	for (const batch of (result[3] ?? []).map(parse)) {
		const numbers = packed(batch[2]);
		const doubles = Buffer.concat(batch[3] ?? []);
		const strings = Buffer.concat(batch[5] ?? []).toString().split('\0');
		let d = 0, s = 0;
		for (const type of packed(batch[1])) {
			if (type === 2n)
				cells.push(Number(BigInt.asIntN(64, numbers.next().value)));
			else if (type === 3n)
				cells.push(doubles.readDoubleLE(8 * d++));
			else
				cells.push(type === 4n ? strings[s++] : null);
		}
	}
}

// ---- the engine ------------------------------------------------------------------------------------

class FileRequest {  // of what lies beside the bundle
	open(method, url) { this.file = path.join(folder, path.basename(url)); }
	send() { this.response = new Uint8Array(fs.readFileSync(this.file)).buffer; }
}

function startWorker() {
	const self = {location: {href: 'http://127.0.0.1/engine_bundle.js'}};
	const quiet = {log() {}, warn() {}, error: console.error};
	const context = vm.createContext({self, console: quiet, setTimeout, clearTimeout, performance, URL, TextDecoder,
		TextEncoder, crypto: globalThis.crypto, XMLHttpRequest: FileRequest, WorkerGlobalScope: function () {},
		location: self.location, importScripts() {}});
	const bundle = path.join(folder, 'engine_bundle.js');
	vm.runInContext(fs.readFileSync(bundle, 'utf8'), context, {filename: bundle});
	return {self, Bytes: vm.runInContext('Uint8Array', context)};
}

function fail(error) {
	process.stderr.write(`perfetto.js: ${String(error?.stack ?? error).slice(-2000)}\n`);
	process.exit(1);
}

process.on('uncaughtException', fail);

const worker = startWorker();
const replies = [];
let waiting = Buffer.alloc(0), seq = 0;
const port = {
	postMessage(data) {
		waiting = Buffer.concat([waiting, Buffer.from(data)]);
		for (;;) {  // a message may come in pieces
			if (waiting.length < 2)
				return;
			const [size, at] = readVarint(waiting, 1);
			if (waiting.length < at + Number(size))
				return;
			replies.push(parse(waiting.subarray(at, at + Number(size))));
			waiting = waiting.subarray(at + Number(size));
		}
	},
};

// It answers before the call is over.
function call(method, ...fields) {
	const message = Buffer.concat([number(1, ++seq), number(2, method), ...fields]);
	replies.length = 0;
	port.onmessage({data: new worker.Bytes(bytes(1, message))});
	const error = replies.map(r => r[5]?.[0]).find(Boolean);
	if (error)
		fail(error);
	return replies.slice();
}

function check(result, field) {
	if (result?.[field]?.[0]?.length)
		fail(result[field][0].toString());
}

function query(sql) {
	const names = [], cells = [], rows = [];
	for (const reply of call(QUERY, bytes(103, bytes(1, Buffer.from(sql)))))
		for (const result of (reply[203] ?? []).map(parse)) {
			check(result, 2);
			rowsOf(result, names, cells);
		}
	for (let i = 0; i < cells.length; i += names.length)
		rows.push(Object.fromEntries(names.map((name, j) => [name, cells[i + j]])));
	return rows;
}

function main() {
	const data = fs.readFileSync(trace);
	for (let at = 0; at < data.length; at += PIECE)
		for (const reply of call(APPEND, bytes(101, data.subarray(at, at + PIECE))))
			check(reply[201] && parse(reply[201][0]), 2);
	for (const reply of call(FINALIZE))
		check(reply[212] && parse(reply[212][0]), 1);
	fs.writeSync(1, JSON.stringify(queries.map(query)) + '\n');
	process.exit(0);
}

worker.self.onmessage({data: port});
// The bridge is ready when the promises that it made before are settled.
setTimeout(main, 100);
