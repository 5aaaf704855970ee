<?php

/**
 * The pictures of a request: how many, how large, and whether their first bytes are those of a picture at all. All of
 * it before anything is asked of the daemon, which looks closer.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class Frames
{
    public const MAX_CAMERA_BYTES = 2 * 1024 * 1024;
    public const MAX_FILE_BYTES = 10 * 1024 * 1024;
    private const MAGIC = '/\A(?:\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF.{4}WEBP)/s';

    /** @param list<string> $bytes in the order sent */
    private function __construct(public readonly array $bytes)
    {
    }

    /**
     * @param list<Upload> $uploads
     * @throws HttpError
     */
    public static function of(array $uploads, int $least, int $most, int $maxBytes): self
    {
        if (count($uploads) < $least || count($uploads) > $most) {
            throw HttpError::badRequest(count($uploads) . " pictures came, not $least to $most");
        }
        foreach ($uploads as $upload) {
            if ($upload->tooLarge() || $upload->size > $maxBytes) {
                throw HttpError::tooLarge();
            }
        }
        return new self(array_map(static fn (Upload $upload): string => $upload->read(), $uploads));
    }

    /** @return list<?string> per picture null, or the code of what it is not */
    public function faults(): array
    {
        return array_map(
            static fn (string $bytes): ?string => preg_match(self::MAGIC, $bytes) === 1 ? null : 'image_unreadable',
            $this->bytes,
        );
    }

    public function areReadable(): bool
    {
        return array_filter($this->faults()) === [];
    }
}
