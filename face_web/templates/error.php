<?php

/**
 * @var string $title
 * @var string $text
 * @var string $reference
 * @var callable(string, array<string, string|int>=): string $t
 */

declare(strict_types=1);

?>
<section class="card">
    <h1><?= e($title) ?></h1>
    <p><?= e($text) ?></p>
    <p class="hint"><?= e($reference) ?></p>
    <p class="actions"><a class="button" href="/"><?= e($t('error.home')) ?></a></p>
</section>
