/** Numbers of pixels: light, sharpness and difference of made pictures whose numbers are known. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { burntOut, difference, greyOf, mean, sameBytes, sharpness } from '../../public/picture.js';

const grid = (size, at) => Float32Array.from({ length: size * size }, (_, i) => at(i % size, Math.floor(i / size)));

test('grey weighs red, green and blue as Rec. 601 does and leaves alpha out', () => {
    const grey = greyOf([255, 0, 0, 9, 0, 255, 0, 9, 0, 0, 255, 9, 255, 255, 255, 9]);
    [76.245, 149.685, 29.07, 255].forEach((value, i) => assert.ok(Math.abs(grey[i] - value) < 0.001));
});

test('light is the mean, and only what is nearly white is burnt out', () => {
    const grey = Float32Array.from([249, 250, 255, 0]);
    assert.equal(mean(grey), 188.5);
    assert.equal(burntOut(grey), 0.5);
    assert.equal(mean(new Float32Array(0)) + burntOut(new Float32Array(0)), 0);
});

test('a chequered board is sharp, a slope is not, and stripes are only along one direction', () => {
    assert.ok(sharpness(grid(16, (x, y) => 80 + 40 * ((x + y) % 2)), 16, 16) > 1000);
    assert.ok(sharpness(grid(16, (x, y) => 100 + x + y), 16, 16) < 1e-6);
    assert.ok(sharpness(grid(16, (x) => 80 + 40 * (x % 2)), 16, 16) < 1e-6);
});

test('a dim picture is measured as if it were brighter', () => {
    const board = (light) => sharpness(grid(16, (x, y) => light * (1 + 0.2 * ((x + y) % 2))), 16, 16);
    assert.ok(Math.abs(board(20) / board(91) - 1) < 0.05);
});

test('difference is the mean change of a pixel', () => {
    assert.equal(difference(Float32Array.from([1, 2, 3, 4]), Float32Array.from([1, 2, 3, 8])), 1);
});

test('bytes are the same only when all are and none is missing', () => {
    const bytes = Uint8Array.from([1, 2, 3]);
    assert.ok(sameBytes(bytes, Uint8Array.from([1, 2, 3])));
    assert.ok(!sameBytes(bytes, Uint8Array.from([1, 2, 4])));
    assert.ok(!sameBytes(bytes, Uint8Array.from([1, 2, 3, 4])));
});
