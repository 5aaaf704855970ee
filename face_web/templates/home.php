<?php

/**
 * @var bool $registers
 * @var ?\FaceWeb\People\Person $person
 * @var string $site
 * @var callable(string, array<string, string|int>=): string $t
 */

declare(strict_types=1);

?>
<section class="hero">
    <h1><?= e($site) ?></h1>
<?php if ($person === null) : ?>
    <p class="lead"><?= e($t('home.lead')) ?></p>
    <p class="actions">
        <a class="button primary" href="/login"><?= e($t('home.login')) ?></a>
    <?php if ($registers) : ?>
        <a class="button" href="/register"><?= e($t('home.register')) ?></a>
    <?php endif; ?>
    </p>
<?php else : ?>
    <p class="lead"><?= e($t('home.hello', ['name' => $person->name])) ?></p>
    <p class="actions"><a class="button primary" href="/account"><?= e($t('home.account')) ?></a></p>
<?php endif; ?>
</section>
<section aria-labelledby="how">
    <h2 id="how"><?= e($t('home.how')) ?></h2>
    <div class="tiles">
<?php foreach ([1, 2, 3] as $step) : ?>
        <div class="card">
            <h3><?= e($t("home.step$step.title")) ?></h3>
            <p><?= e($t("home.step$step")) ?></p>
        </div>
<?php endforeach; ?>
    </div>
</section>
