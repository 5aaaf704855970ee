<?php

/**
 * Owns the memory of frames that were sent: a camera never gives the same bytes twice, a replay does.
 * Kept 24 hours as SHA-256, over all sessions. All frames of a burst that was looked at are remembered, also of a
 * refused one; what a locked source sends is not looked at, so it fills nothing.
 */

declare(strict_types=1);

namespace FaceWeb\Security;

use FaceWeb\Database;

final class SeenFrames
{
    public const MEMORY_S = 86400;

    public function __construct(private readonly Database $database, private readonly Clock $clock)
    {
    }

    /**
     * False when two are identical or one was seen before.
     *
     * @param list<string> $frames raw bytes
     */
    public function claim(array $frames): bool
    {
        $digests = array_unique(array_map(fn (string $frame) => hash('sha256', $frame), $frames));
        sort($digests); // the same order everywhere, so that two requests cannot wait for each other
        $new = $this->database->transaction(fn (): int => $this->remember($digests));
        return $frames !== [] && $new === count($frames);
    }

    /**
     * @param list<string> $digests
     * @return int how many were new
     */
    private function remember(array $digests): int
    {
        $now = $this->clock->now();
        $this->database->execute('DELETE FROM seen_frame WHERE seen_until <= ?', [$now]);
        $new = 0;
        foreach ($digests as $digest) {
            $values = ['digest' => $digest, 'seen_until' => $now + self::MEMORY_S];
            $new += $this->database->insertNew('seen_frame', $values) ? 1 : 0;
        }
        return $new;
    }
}
