<?php

/**
 * Bytes as they arrive -> the contents of frames. No I/O, no JSON. The cap is applied to the length as soon as it is
 * complete, before a byte of the body is kept, so a header that claims 4 GB costs four bytes.
 */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class FrameDecoder
{
    private const HEADER_BYTES = 4;

    private string $buffer = '';

    public function __construct(private readonly int $maxFrameBytes)
    {
    }

    /**
     * The content of the first frame once it is complete, null while bytes are missing. Bytes behind it stay for the
     * next call.
     *
     * @throws Garbled when a length exceeds the cap; every later call too
     */
    public function feed(string $bytes): ?string
    {
        $this->buffer .= $bytes;
        if (strlen($this->buffer) < self::HEADER_BYTES) {
            return null;
        }
        ['length' => $length] = unpack('Nlength', $this->buffer);
        if ($length > $this->maxFrameBytes) {
            $this->buffer = substr($this->buffer, 0, self::HEADER_BYTES);
            throw Garbled::because("a frame announces {$length} bytes, at most {$this->maxFrameBytes} are taken");
        }
        if (strlen($this->buffer) < self::HEADER_BYTES + $length) {
            return null;
        }
        $content = substr($this->buffer, self::HEADER_BYTES, $length);
        $this->buffer = substr($this->buffer, self::HEADER_BYTES + $length);
        return $content;
    }
}
