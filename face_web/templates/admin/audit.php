<?php

/**
 * @var list<\FaceWeb\Audit\AuditLine> $lines
 * @var ?string $next
 * @var callable(string, array<string, string|int>=): string $t
 * @var callable(string, array<string, mixed>=): string $part
 */

declare(strict_types=1);

?>
<?= $part('admin/nav', ['here' => 'audit']) ?>
<h1><?= e($t('admin_audit.title')) ?></h1>
<?php if ($lines === []) : ?>
<p><?= e($t('admin_audit.none')) ?></p>
<?php else : ?>
<div class="table-scroll" tabindex="0" role="region" aria-label="<?= e($t('admin_audit.title')) ?>">
    <table>
        <thead>
            <tr>
                <th scope="col" class="number"><?= e($t('admin_audit.line')) ?></th>
                <th scope="col"><?= e($t('account.when')) ?></th>
                <th scope="col"><?= e($t('account.event')) ?></th>
                <th scope="col" class="number"><?= e($t('admin_audit.person')) ?></th>
                <th scope="col"><?= e($t('account.source')) ?></th>
                <th scope="col"><?= e($t('admin_audit.detail')) ?></th>
            </tr>
        </thead>
        <tbody>
    <?php foreach ($lines as $line) : ?>
            <tr>
                <td class="number"><?= e($line->line) ?></td>
                <td><?= $part('time', ['at' => $line->at]) ?></td>
                <td><code><?= e($line->event) ?></code></td>
                <td class="number"><?= e($line->userId) ?></td>
                <td><?= e($line->source) ?></td>
                <td><code><?= e($line->detailJson) ?></code></td>
            </tr>
    <?php endforeach; ?>
        </tbody>
    </table>
</div>
<?php endif; ?>
<?php if ($next !== null) : ?>
<p class="pager"><a class="button" href="/admin/audit?before=<?= e($next) ?>"><?= e($t('admin_audit.more')) ?></a></p>
<?php endif; ?>
