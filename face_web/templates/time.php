<?php

/**
 * A moment, for people and for machines.
 *
 * @var int $at Unix seconds
 * @var callable(string, array<string, string|int>=): string $t
 */

declare(strict_types=1);

?>
<time datetime="<?= e(gmdate('Y-m-d\TH:i:s\Z', $at)) ?>"><?= e($t('time.utc', ['time' => gmdate('Y-m-d H:i', $at)])) ?></time>
