<?php

/** Every golden frame whole, byte by byte, and with bytes behind it; and lengths that must not be believed. */

declare(strict_types=1);

namespace FaceWeb\Tests\FaceServer;

use FaceWeb\FaceServer\FrameDecoder;
use FaceWeb\FaceServer\Garbled;
use PHPUnit\Framework\TestCase;

final class FrameDecoderTest extends TestCase
{
    private const CAP = 1 << 20;

    /** @return array<string, array{array<string, mixed>}> */
    public function frames(): array
    {
        return Vectors::of('requests', 'replies', 'errors');
    }

    /**
     * @dataProvider frames
     * @param array<string, mixed> $entry
     */
    public function testAWholeFrameGivesItsContent(array $entry): void
    {
        self::assertSame(Vectors::content($entry), (new FrameDecoder(self::CAP))->feed(Vectors::frame($entry)));
    }

    /**
     * @dataProvider frames
     * @param array<string, mixed> $entry
     */
    public function testAFrameByteByByteGivesNothingBeforeItsLast(array $entry): void
    {
        $decoder = new FrameDecoder(self::CAP);
        $bytes = str_split(Vectors::frame($entry));
        $last = array_pop($bytes);
        foreach ($bytes as $byte) {
            self::assertNull($decoder->feed($byte));
        }
        self::assertSame(Vectors::content($entry), $decoder->feed($last));
    }

    /**
     * @dataProvider frames
     * @param array<string, mixed> $entry
     */
    public function testBytesBehindAFrameAreLeftForTheNext(array $entry): void
    {
        $decoder = new FrameDecoder(self::CAP);
        $frame = Vectors::frame($entry);
        self::assertSame(Vectors::content($entry), $decoder->feed($frame . substr($frame, 0, 5)));
        self::assertNull($decoder->feed(''));
        self::assertSame(Vectors::content($entry), $decoder->feed(substr($frame, 5)));
    }

    public function testALengthBeyondTheCapIsRefusedBeforeAnyOfItsBytesCame(): void
    {
        $decoder = new FrameDecoder(8);
        self::assertNull($decoder->feed("\0\0\0"));
        $this->expectException(Garbled::class);
        $decoder->feed("\x09");
    }

    public function testALengthAtTheCapIsTaken(): void
    {
        self::assertSame('12345678', (new FrameDecoder(8))->feed("\0\0\0\x0812345678"));
    }

    public function testAFrameMayBeEmpty(): void
    {
        self::assertSame('', (new FrameDecoder(8))->feed("\0\0\0\0"));
    }

    public function testARefusedLengthStaysRefusedAndKeepsNothingOfWhatFollows(): void
    {
        $decoder = new FrameDecoder(8);
        for ($try = 0; $try < 3; $try++) {
            try {
                $decoder->feed("\xff\xff\xff\xff" . str_repeat('x', 100_000));
                self::fail('it was not refused');
            } catch (Garbled $garbled) {
                self::assertStringContainsString('4294967295', $garbled->getMessage());
            }
        }
    }

    /**
     * @dataProvider legacyFrames
     * @param array<string, mixed> $entry
     */
    public function testAFrameOfTheOldDialectIsRefusedByItsFirstFourBytes(array $entry): void
    {
        $this->expectException(Garbled::class);
        (new FrameDecoder(0x2fffffff))->feed(substr(Vectors::frame($entry), 0, 4));
    }

    /** @return array<string, array{array<string, mixed>}> */
    public function legacyFrames(): array
    {
        return Vectors::of('legacy');
    }
}
