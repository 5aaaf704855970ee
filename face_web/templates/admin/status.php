<?php

/**
 * @var bool $ready
 * @var bool $mayAsk whether the site has the operator's token
 * @var list<array{string, string}> $facts of the daemon
 * @var int $count
 * @var \FaceWeb\Audit\AuditReport $audit
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<?= $part('admin/nav', ['here' => 'status']) ?>
<h1><?= e($t('admin_status.title')) ?></h1>
<section class="card" aria-labelledby="daemon">
    <h2 id="daemon"><?= e($t('admin_status.daemon')) ?></h2>
    <p class="notice <?= e($ready ? 'success' : 'error') ?>"><span><?=
        e($t($ready ? 'admin_status.ready' : 'admin_status.away')) ?></span></p>
<?php if (!$mayAsk) : ?>
    <p class="muted"><?= e($t('admin_status.no_token')) ?></p>
<?php endif; ?>
<?php if ($facts !== []) : ?>
    <dl class="facts">
    <?php foreach ($facts as [$name, $value]) : ?>
        <dt><code><?= e($name) ?></code></dt><dd><?= e($value) ?></dd>
    <?php endforeach; ?>
    </dl>
<?php endif; ?>
</section>
<section class="card" aria-labelledby="audit">
    <h2 id="audit"><?= e($t('admin_status.audit')) ?></h2>
<?php if ($audit->ok) : ?>
    <p class="notice success"><span><?= e($t('admin_status.audit.ok', ['lines' => $audit->lines])) ?></span></p>
<?php else : ?>
    <div class="notice error">
        <p><?= e($t('admin_status.audit.broken')) ?></p>
        <ul>
    <?php foreach ($audit->problems as $problem) : ?>
            <li><?= e($problem) ?></li>
    <?php endforeach; ?>
        </ul>
    </div>
<?php endif; ?>
</section>
<section class="card" aria-labelledby="site">
    <h2 id="site"><?= e($t('admin_status.site')) ?></h2>
    <dl class="facts"><dt><?= e($t('admin_status.accounts')) ?></dt><dd><?= e($count) ?></dd></dl>
</section>
