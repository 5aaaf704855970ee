/** How far a movement is, measured against the person's own first moments. Run by `node --test`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, middleOf, progress, shapeOf } from '../../public/challenge.js';

const EYES = 60;

/** A face in 640x480, eyes 60 px apart; the nose moved, the face larger, rolled (degrees) and narrower. */
function seen({ right = 0, down = 0, times = 1, roll = 0, narrower = 1, faces = 1 } = {}) {
    const points = [[-0.5, -0.5], [0.5, -0.5], [right, 0.1 + down], [-0.4, 0.5], [0.4, 0.5]];
    const [cos, sin] = [Math.cos((roll * Math.PI) / 180), Math.sin((roll * Math.PI) / 180)];
    const landmarks = points.map(([px, py]) => {
        const [x, y] = [px * EYES * times * narrower, py * EYES * times];
        return [320 + x * cos - y * sin, 240 + x * sin + y * cos];
    });
    const face = { box: [220, 140, 420, 340], landmarks: faces === 1 ? landmarks : null };
    return { width: 640, height: 480, faces: Array(faces).fill(face) };
}

const AHEAD = shapeOf(seen());

test('who turns to the left of the picture has done that step and not the other', () => {
    const left = seen({ right: -LIMITS.turn - 0.01 });
    assert.ok(progress('turn_left', AHEAD, left).reach >= 1);
    assert.deepEqual([progress('turn_left', AHEAD, left).done, progress('turn_left', AHEAD, left).hint], [true, null]);
    assert.deepEqual(progress('turn_right', AHEAD, left), { reach: 0, done: false, hint: 'other_way' });
    assert.equal(progress('turn_right', AHEAD, seen({ right: LIMITS.turn + 0.01 })).done, true);
});

test('a nod down moves the nose down, one up moves it up', () => {
    const down = seen({ down: LIMITS.nod + 0.01 });
    assert.equal(progress('look_down', AHEAD, down).done, true);
    assert.equal(progress('look_up', AHEAD, down).hint, 'other_way');
    assert.equal(progress('look_up', AHEAD, seen({ down: -LIMITS.nod - 0.01 })).done, true);
});

test('half a movement is half the way, and needs a little more', () => {
    const half = progress('turn_left', AHEAD, seen({ right: -0.5 * LIMITS.turn }));
    assert.ok(Math.abs(half.reach - 0.5) < 0.01);
    assert.deepEqual([half.done, half.hint], [false, 'more']);
    assert.deepEqual(progress('turn_left', AHEAD, seen()), { reach: 0, done: false, hint: null });
});

test('a roll of the head changes no turn', () => {
    const turned = progress('turn_left', AHEAD, seen({ right: -0.5 * LIMITS.turn, roll: 25 }));
    assert.ok(Math.abs(turned.reach - 0.5) < 0.01);
});

test('who nods instead of turning is told to keep level, and the other way round', () => {
    assert.equal(progress('turn_left', AHEAD, seen({ right: -0.16, down: 0.3 })).hint, 'level');
    assert.equal(progress('look_down', AHEAD, seen({ right: 0.3, down: 0.15 })).hint, 'straight');
});

test('too far is told before the daemon would refuse it', () => {
    const far = progress('turn_right', AHEAD, seen({ right: 0.4, narrower: LIMITS.tooNarrow - 0.02 }));
    assert.deepEqual([far.done, far.hint], [false, 'less']);
});

test('coming closer is a larger face, whatever the size of the picture it was found in', () => {
    assert.equal(progress('come_closer', AHEAD, seen({ times: LIMITS.closer + 0.01 })).done, true);
    assert.ok(Math.abs(progress('come_closer', AHEAD, seen({ times: 1.11 })).reach - 0.5) < 0.01);
    assert.equal(progress('come_closer', AHEAD, seen({ times: LIMITS.tooClose + 0.1 })).hint, 'less_close');
    const same = seen();
    const half = { width: 320, height: 240, faces: [{ ...same.faces[0], landmarks: same.faces[0].landmarks.map(([x, y]) => [x / 2, y / 2]) }] };
    assert.ok(progress('come_closer', AHEAD, half).reach < 0.01);
});

test('who comes closer faces the camera, also after a turn', () => {
    const turned = progress('come_closer', AHEAD, seen({ times: 1.3, right: LIMITS.aside + 0.02 }));
    assert.deepEqual([turned.done, turned.hint], [false, 'ahead']);
    assert.equal(progress('come_closer', AHEAD, seen({ times: 1.3, down: LIMITS.aside - 0.02 })).done, true);
});

test('nobody and several people do nothing, and are told apart', () => {
    assert.deepEqual(progress('turn_left', AHEAD, seen({ faces: 0 })), { reach: 0, done: false, hint: 'nobody' });
    assert.deepEqual(progress('turn_left', AHEAD, seen({ faces: 2 })), { reach: 0, done: false, hint: 'several' });
});

test('the page asks for more than the daemon needs, and for less than it takes for too far', () => {
    assert.ok(LIMITS.turn > 1.5 * 0.08 && LIMITS.nod > 1.5 * 0.06 && LIMITS.closer > 1.1 && LIMITS.tooNarrow > 0.72);
});

test('the middle of several looks leaves out the one that strays', () => {
    const looks = [0, 0.01, 0.5].map((right) => shapeOf(seen({ right })));
    assert.ok(Math.abs(middleOf(looks).yaw - 0.01) < 0.001);
    assert.equal(middleOf([]), null);
});
