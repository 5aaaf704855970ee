<?php

/**
 * The pictures of a request: how many, how large, and whether they begin as JPEGs do, which is what the page sends.
 * All of it before anything is asked of the daemon, which looks closer: a few kilobytes can hold 40 megapixels, and to
 * decode such a picture costs it seconds that others wait.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class Frames
{
    public const MAX_CAMERA_BYTES = 2 * 1024 * 1024;
    public const MAX_FILE_BYTES = 10 * 1024 * 1024;
    /** The page sends 1280 pixels on the longer side at most, a rough search far fewer; both with room to spare. */
    public const MAX_PIXELS = 4_000_000;
    public const MAX_DETECT_PIXELS = 500_000;

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
            static fn (string $bytes): ?string => self::isJpeg($bytes, self::MAX_PIXELS) ? null : 'image_unreadable',
            $this->bytes,
        );
    }

    /** Is this, by its header, a JPEG of so many pixels at most? */
    public static function isJpeg(string $bytes, int $maxPixels): bool
    {
        $size = str_starts_with($bytes, "\xff\xd8\xff") ? @getimagesizefromstring($bytes) : false;
        return $size !== false && $size[2] === IMAGETYPE_JPEG && $size[0] * $size[1] <= $maxPixels;
    }

    public function areReadable(): bool
    {
        return array_filter($this->faults()) === [];
    }
}
