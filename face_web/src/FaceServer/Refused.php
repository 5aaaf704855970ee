<?php

/** The daemon understood and said no: its error's code, who must act, and the numbers of its sentence. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Refused extends \RuntimeException
{
    /**
     * @param string $errorCode one of ErrorCodes
     * @param string $act client, person, web or operator
     * @param array<string, mixed> $detail
     */
    private function __construct(
        string $message,
        public readonly string $errorCode,
        public readonly string $act,
        public readonly array $detail,
    ) {
        parent::__construct($message);
    }

    /**
     * Who must act follows from the code. A code that this version does not know reads `internal`.
     *
     * @param array<string, mixed> $detail
     */
    public static function because(string $code, string $message = '', array $detail = []): self
    {
        $known = ErrorCodes::known($code);
        return new self($message === '' ? $known : $message, $known, ErrorCodes::ACTS[$known], $detail);
    }

    /** Whether the person in front of the camera can help: a matter of the pictures, not of who they show. */
    public function isForPerson(): bool
    {
        return $this->act === 'person';
    }

    /**
     * What is wrong with each of the images sent; null where nothing is known to be wrong with one.
     *
     * @return list<?string> codes, in the order sent
     */
    public function imageCodes(int $images): array
    {
        $entries = $this->detail['images'] ?? null;
        if (!is_array($entries)) {
            return $images === 1 && ErrorCodes::isOfAnImage($this->errorCode)
                ? [$this->errorCode] : array_pad([], $images, null);
        }
        $codes = array_pad([], $images, null);
        foreach (array_values($entries) as $place => $entry) {
            // Either {"code":...} of each image, or the places of those that this error is about.
            [$at, $code] = is_int($entry) ? [$entry, $this->errorCode] : [$place, $entry['code'] ?? null];
            if (array_key_exists($at, $codes) && is_string($code)) {
                $codes[$at] = ErrorCodes::known($code);
            }
        }
        return $codes;
    }
}
