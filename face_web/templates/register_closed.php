<?php

/** @var callable(string, array<string, string|int>=): string $t */

declare(strict_types=1);

?>
<section class="card">
    <h1><?= e($t('register_closed.title')) ?></h1>
    <p><?= e($t('register_closed.text')) ?></p>
    <p class="actions"><a class="button" href="/login"><?= e($t('nav.login')) ?></a></p>
</section>
