/** What a screen reader hears: a sentence in two seconds, the newest, never twice. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Speech } from '../../public/speech.js';

function made() {
    const heard = [];
    const clock = { now: 0, timers: [] };
    const element = { set textContent(text) { heard.push(text); } };
    const speech = new Speech(element, () => clock.now, (what, ms) => clock.timers.push({ what, at: clock.now + ms }));
    const pass = (ms) => {
        clock.now += ms;
        clock.timers.filter(({ at }) => at <= clock.now).forEach((timer) => {
            clock.timers.splice(clock.timers.indexOf(timer), 1);
            timer.what();
        });
    };
    return { speech, heard, pass };
}

test('the first sentence is heard at once, then only the newest when two seconds are over', () => {
    const { speech, heard, pass } = made();
    speech.say('closer');
    pass(300);
    speech.say('left');
    pass(300);
    speech.say('good');
    assert.deepEqual(heard, ['closer']);
    pass(1400);
    assert.deepEqual(heard, ['closer', 'good']);
});

test('the same sentence is not heard twice in a row', () => {
    const { speech, heard, pass } = made();
    speech.say('closer');
    pass(1000);
    speech.say('left');
    speech.say('closer');
    pass(3000);
    speech.say('closer');
    assert.deepEqual(heard, ['closer']);
});

test('after a result nothing that waited is heard', () => {
    const { speech, heard, pass } = made();
    speech.say('closer');
    speech.say('left');
    speech.hush();
    pass(5000);
    assert.deepEqual(heard, ['closer', '']);
    speech.say('closer');
    assert.deepEqual(heard, ['closer', '', 'closer']);
});

test('what somebody waits for is said at once, whatever was said or waits', () => {
    const { speech, heard, pass } = made();
    speech.say('still');
    pass(100);
    speech.say('closer');
    speech.say('turn', true);
    assert.deepEqual(heard, ['still', 'turn']);
    pass(3000);
    assert.deepEqual(heard, ['still', 'turn']);
});
