/** What the camera tells a person: each advice, its direction, its patience. Run by `node --test`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Guide, advise, poseOf } from '../../public/guidance.js';

const POINTS = [[-0.25, -0.2], [0.25, -0.2], [0, 0.05], [-0.18, 0.3], [0.18, 0.3]];

/** A face in a 640x480 picture: its middle, its height in shares of 480, the nose's shift and a roll in degrees. */
function face({ x = 320, y = 245, tall = 0.5, nose = 0, roll = 0 } = {}) {
    const height = tall * 480;
    const width = height * 0.8;
    const [cos, sin] = [Math.cos((roll * Math.PI) / 180), Math.sin((roll * Math.PI) / 180)];
    const landmarks = POINTS.map(([px, py], i) => {
        const [dx, dy] = [(px + (i === 2 ? nose : 0)) * width, py * height];
        return [x + dx * cos - dy * sin, y + dx * sin + dy * cos];
    });
    return { box: [x - width / 2, y - height / 2, x + width / 2, y + height / 2], landmarks };
}

function measured(faces, more = {}) {
    return { width: 640, height: 480, faces, light: { face: 120, frame: 110, burntOut: 0 }, sharpness: 40, ...more };
}

test('a centred, large, sharp and bright face is good', () => {
    assert.equal(advise(measured([face()])), 'good');
});

test('nobody and several people are told apart, and somebody far behind is nobody', () => {
    assert.equal(advise(measured([])), 'nobody');
    assert.equal(advise(measured([face(), face({ x: 100, tall: 0.4 })])), 'several');
    assert.equal(advise(measured([face(), face({ x: 100, tall: 0.1 })])), 'good');
    assert.equal(advise(measured([face({ x: 100, tall: 0.1 }), face()])), 'good');
});

test('a small face should come closer, a large one go back', () => {
    assert.equal(advise(measured([face({ tall: 0.2 })])), 'closer');
    assert.equal(advise(measured([face({ tall: 0.9 })])), 'back');
});

test('left and right are the person’s own: whoever is at the right of the unmirrored picture moves right', () => {
    assert.equal(advise(measured([face({ x: 460 })])), 'move_right');
    assert.equal(advise(measured([face({ x: 180 })])), 'move_left');
    assert.equal(advise(measured([face({ y: 340, tall: 0.35 })])), 'move_up');
    assert.equal(advise(measured([face({ y: 140, tall: 0.35 })])), 'move_down');
});

test('a picture held upright is measured by its width', () => {
    const upright = { width: 480, height: 640 };
    assert.equal(advise(measured([face({ x: 240, y: 325 })], upright)), 'good');
    assert.equal(advise(measured([face({ x: 240, y: 500 })], upright)), 'move_up');
});

test('light is asked for, refused, and told when it comes from behind', () => {
    assert.equal(advise(measured([face()], { light: { face: 40, frame: 50, burntOut: 0 } })), 'more_light');
    assert.equal(advise(measured([face()], { light: { face: 230, frame: 200, burntOut: 0.2 } })), 'less_light');
    assert.equal(advise(measured([face()], { light: { face: 70, frame: 190, burntOut: 0 } })), 'front_light');
});

test('a turned head turns back, a tilted one is held upright', () => {
    assert.equal(advise(measured([face({ nose: 0.25 })])), 'turn_less');
    assert.equal(advise(measured([face({ roll: 35 })])), 'upright');
});

test('the nose at the right of the picture is a turn to the person’s left, also of a tilted head', () => {
    assert.ok(poseOf(face({ nose: 0.1 }).landmarks).yaw > 0.1);
    assert.ok(poseOf(face({ nose: -0.1 }).landmarks).yaw < -0.1);
    const tilted = poseOf(face({ nose: 0.1, roll: 20 }).landmarks);
    assert.ok(Math.abs(tilted.yaw - poseOf(face({ nose: 0.1 }).landmarks).yaw) < 0.01);
    assert.ok(Math.abs(tilted.roll - 20) < 0.01);
});

test('a pose is asked for until it is there', () => {
    assert.equal(advise(measured([face()]), 'left'), 'turn_left');
    assert.equal(advise(measured([face({ nose: 0.12 })]), 'left'), 'good');
    assert.equal(advise(measured([face()]), 'right'), 'turn_right');
    assert.equal(advise(measured([face({ nose: -0.12 })]), 'right'), 'good');
    assert.equal(advise(measured([face({ nose: -0.3 })]), 'right'), 'turn_less');
});

test('a blurred or moving face is asked to hold still', () => {
    assert.equal(advise(measured([face()], { sharpness: 2 })), 'blurred');
    assert.equal(advise(measured([face()]), 'straight', measured([face({ x: 270 })])), 'still');
    assert.equal(advise(measured([face()]), 'straight', measured([face({ x: 315 })])), 'good');
    assert.equal(advise(measured([face()]), 'straight', measured([])), 'good');
});

test('a face that is seen in a smaller picture than before has not moved', () => {
    const before = measured([face()]);
    const small = face();
    small.box = small.box.map((at) => at / 2);
    small.landmarks = small.landmarks.map((point) => point.map((at) => at / 2));
    assert.equal(advise(measured([small], { width: 320, height: 240 }), 'straight', before), 'good');
});

test('what is not known is not held against anybody', () => {
    const plain = { ...face(), landmarks: null };
    assert.equal(advise(measured([plain], { light: null, sharpness: null }), 'left'), 'good');
});

test('the picture is taken after half a second of green, and green begins anew after a bad moment', () => {
    const guide = new Guide();
    assert.deepEqual(guide.update(measured([face()]), 0), { advice: 'good', green: true, ready: false });
    assert.equal(guide.update(measured([face()]), 400).ready, false);
    assert.deepEqual(guide.update(measured([]), 450), { advice: 'nobody', green: false, ready: false });
    assert.equal(guide.update(measured([face()]), 600).ready, false);
    assert.equal(guide.update(measured([face()]), 1100).ready, true);
});

test('what is green stays so at the edge', () => {
    const edge = measured([face({ tall: 0.3 })]);
    assert.equal(new Guide().update(edge, 0).advice, 'closer');
    const guide = new Guide();
    guide.update(measured([face({ tall: 0.34 })]), 0);
    assert.equal(guide.update(edge, 100).green, true);
});

test('after eight seconds a straight face is taken for any pose', () => {
    const guide = new Guide('left');
    assert.equal(guide.update(measured([face()]), 0).advice, 'turn_left');
    assert.equal(guide.update(measured([face()]), 8000).advice, 'turn_left');
    assert.equal(guide.update(measured([face()]), 8100).green, true);
    assert.equal(guide.update(measured([face()]), 8600).ready, true);
});
