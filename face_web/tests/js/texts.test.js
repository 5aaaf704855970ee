/** The page's sentences: filled in, never run, and a missing one shows its key. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textsOf } from '../../public/texts.js';

test('a text is filled in by name, and what is not given stays', () => {
    const t = textsOf('{"camera.step": "Step {number} of {count}"}');
    assert.equal(t('camera.step', { number: 1, count: 3 }), 'Step 1 of 3');
    assert.equal(t('camera.step', { number: '{count}' }), 'Step {count} of {count}');
    assert.equal(t('camera.step'), 'Step {number} of {count}');
});

test('what is missing or no text shows its key', () => {
    for (const json of ['{}', 'not json', 'null', '{"a": 5}']) {
        assert.equal(textsOf(json)('a'), 'a');
    }
    assert.equal(textsOf('{}')('toString'), 'toString');
});
