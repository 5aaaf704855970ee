<?php

/**
 * What must be corrected, on top of a page, each linked to its field.
 *
 * @var array<string, string> $errors id of the field -> sentence
 * @var callable(string, array<string, string|int>=): string $t
 */

declare(strict_types=1);

?>
<?php if ($errors !== []) : ?>
<div class="error-summary" role="alert" aria-labelledby="errors-heading">
    <h2 id="errors-heading"><?= e($t('errors.heading')) ?></h2>
    <ul>
    <?php foreach ($errors as $field => $sentence) : ?>
        <li><a href="#<?= e($field) ?>"><?= e($sentence) ?></a></li>
    <?php endforeach; ?>
    </ul>
</div>
<?php endif; ?>
