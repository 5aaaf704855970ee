<?php

/**
 * @var string $reason
 * @var callable(string, array<string, string|int>=): string $t
 */

declare(strict_types=1);

?>
<section class="card">
    <h1><?= e($t('login_refused.title')) ?></h1>
    <p><?= e($t("login_refused.$reason")) ?></p>
    <p><?= e($t('login_refused.advice')) ?></p>
    <p class="actions"><a class="button" href="/login"><?= e($t('login_refused.here')) ?></a></p>
</section>
