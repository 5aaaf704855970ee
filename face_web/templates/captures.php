<?php

/**
 * @var int $frames
 * @var \FaceWeb\People\Person $person
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<h1><?= e($t($person->face === null ? 'account.face.add' : 'account.captures.add')) ?></h1>
<?php if ($person->face !== null) : ?>
<p class="lead"><?= e($t('account.captures.add.text')) ?></p>
<?php endif; ?>
<section class="card" aria-label="<?= e($t('account.face')) ?>">
    <form id="captures" method="post" action="/account/captures">
<?php if ($person->face === null) : ?>
        <?= $part('consent') ?>
<?php endif; ?>
    </form>
    <?= $part('camera', [
        'purpose' => 'captures',
        'action' => '/account/captures',
        'frames' => $frames,
        'form' => '#captures',
        'upload' => false,
        'poses' => $person->face === null ? ['straight', 'left', 'right'] : ['straight'],
        'links' => [],
    ]) ?>
    <p class="actions"><a class="button" href="/account"><?= e($t('captures.back')) ?></a></p>
</section>
