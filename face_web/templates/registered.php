<?php

/** @var callable(string, array<string, string|int>=): string $t */

declare(strict_types=1);

?>
<section class="card">
    <h1><?= e($t('registered.title')) ?></h1>
    <p><?= e($t('registered.text')) ?></p>
    <p><?= e($t('registered.known')) ?></p>
    <p class="actions"><a class="button primary" href="/login"><?= e($t('registered.login')) ?></a></p>
</section>
