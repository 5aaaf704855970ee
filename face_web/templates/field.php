<?php

/**
 * One labelled field of a form, with its hint and its error.
 *
 * @var string $id
 * @var string $name
 * @var string $type
 * @var string $label
 * @var string $value
 * @var string $hint
 * @var string $error
 * @var string $autocomplete
 * @var array<string, string> $more further attributes
 */

declare(strict_types=1);

?>
<div class="field<?= e(($error ?? '') === '' ? '' : ' has-error') ?>">
    <label for="<?= e($id) ?>"><?= e($label) ?></label>
<?php if (($hint ?? '') !== '') : ?>
    <p class="hint" id="<?= e($id) ?>-hint"><?= e($hint) ?></p>
<?php endif; ?>
    <input id="<?= e($id) ?>" name="<?= e($name) ?>" type="<?= e($type ?? 'text') ?>" value="<?= e($value ?? '') ?>"
        autocomplete="<?= e($autocomplete ?? 'off') ?>" required
        aria-describedby="<?= e((($hint ?? '') === '' ? '' : "$id-hint ") . "$id-error") ?>"
<?php foreach ($more ?? [] as $attribute => $text) : ?>
        <?= e($attribute) ?>="<?= e($text) ?>"
<?php endforeach; ?>
<?php if (($error ?? '') !== '') : ?>
        aria-invalid="true"
<?php endif; ?>
    >
    <p class="field-error" id="<?= e($id) ?>-error"><?= e($error ?? '') ?></p>
</div>
