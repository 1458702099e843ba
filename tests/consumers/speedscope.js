#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// speedscope.js FOLDER FILE: what speedscope's own importer has made of a file.
//
// FOLDER is dist/release of its package: one script, made for a page. It runs here without a page; its
// importer is handed out by an assignment that is put where the page loads it.
// One line of JSON is printed: for each profile its name, unit, total weight, and its stacks.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, file] = process.argv.slice(2);

function fail(error) {
	process.stderr.write(`speedscope.js: ${String(error?.stack ?? error).slice(0, 2000)}\n`);
	process.exit(1);
}

// Everything that a page may be asked for, and nothing behind it.
function nothing() {
	const self = new Proxy(function () {}, {
		get: (target, key) => key === Symbol.toPrimitive ? () => '' : key === 'then' ? undefined : self,
		set: () => true, apply: () => self, construct: () => self, has: () => true,
	});
	return self;
}

function importer() {
	const name = fs.readdirSync(folder).find(entry => /^speedscope-\w+\.js$/.test(entry));
	const text = fs.readFileSync(path.join(folder, name), 'utf8');
	const table = /([\w$]+)=\{\};[\w$]+\(\1,\{[^}]*\bimportProfileGroupFromText:/.exec(text)?.[1];
	const loaded = new RegExp(`Promise\\.resolve\\(\\)\\.then\\(\\(\\)=>\\([\\w$]+\\(\\),${table?.replaceAll('$', '\\$')}\\)\\)`);
	if (!table || !loaded.test(text))
		fail('this release has its importer elsewhere');
	const page = nothing();
	const context = vm.createContext({
		window: page, document: page, navigator: {userAgent: '', platform: ''}, location: {hash: '', href: '', protocol: ''},
		localStorage: page, history: page, HTMLElement: function () {}, HTMLCanvasElement: function () {}, Node: function () {},
		FontFace: function () { return {load: async () => {}}; }, requestAnimationFrame() {}, matchMedia: () => page,
		URLSearchParams, URL, TextDecoder, TextEncoder, setTimeout() {}, clearTimeout() {}, performance,
		console: {log() {}, warn: console.error, error: console.error}, atob, btoa, WebAssembly,
	});
	context.self = context.globalThis = context;
	try {
		vm.runInContext(text.replace(loaded, all => `globalThis.importer=${all}`), context);
	} catch (error) {  // of what draws the page, after that
		if (!context.importer)
			fail(error);
	}
	return context.importer;
}

// Weight by stack, the outermost frame first.
function stacksOf(profile) {
	const sums = new Map(), open = [];
	let before = 0;
	const spend = until => {
		const key = JSON.stringify(open.map(frame => [frame.name, frame.file ?? null, frame.line ?? null]));
		if (open.length && until > before)
			sums.set(key, (sums.get(key) ?? 0) + until - before);
		before = until;
	};
	profile.forEachCall(
		(node, value) => { spend(value); open.push(node.frame); },
		(node, value) => { spend(value); open.pop(); });
	return [...sums].map(([key, weight]) => ({frames: JSON.parse(key), weight}));
}

importer().then(async module => {
	const group = await module.importProfileGroupFromText(path.basename(file), fs.readFileSync(file, 'utf8'));
	if (!group)
		fail('speedscope does not know this format');
	const profiles = group.profiles.map(profile => ({
		name: profile.getName(), unit: profile.getWeightUnit(), total: profile.getTotalWeight(),
		shown: profile.formatValue(profile.getTotalWeight()), stacks: stacksOf(profile),
	}));
	fs.writeSync(1, JSON.stringify({name: group.name, profiles}) + '\n');
	process.exit(0);
}).catch(fail);
