<?php

/** Requests and replies against the golden frames, compared by JSON value and image bytes; and what is no reply. */

declare(strict_types=1);

namespace FaceWeb\Tests\FaceServer;

use FaceWeb\FaceServer\Codec;
use FaceWeb\FaceServer\ErrorCodes;
use FaceWeb\FaceServer\Garbled;
use FaceWeb\FaceServer\Refused;
use PHPUnit\Framework\TestCase;

final class CodecTest extends TestCase
{
    /** @return array<string, array{array<string, mixed>}> */
    public function requests(): array
    {
        return array_filter(Vectors::of('requests'), static fn (array $arguments): bool => $arguments[0]['canonical']);
    }

    /**
     * @dataProvider requests
     * @param array<string, mixed> $entry
     */
    public function testARequestIsWrittenAsTheGoldenFrameSays(array $entry): void
    {
        $images = array_map(hex2bin(...), $entry['images_hex']);
        $keys = array_diff_key($entry['json'], ['image_bytes' => true]);
        $frame = Codec::encode($keys, $images);
        [$json, $tail] = explode("\0", substr($frame, 4), 2) + [1 => null];
        self::assertSame(strlen($frame) - 4, unpack('N', $frame)[1]);
        self::assertEquals($entry['json'], json_decode($json, true, 32, JSON_THROW_ON_ERROR));
        self::assertSame($images === [] ? null : implode('', $images), $tail);
    }

    /** @return array<string, array{array<string, mixed>}> */
    public function replies(): array
    {
        return Vectors::of('replies');
    }

    /**
     * @dataProvider replies
     * @param array<string, mixed> $entry
     */
    public function testAReplyIsReadAsTheGoldenFrameSays(array $entry): void
    {
        $reply = Codec::decode(Vectors::content($entry), $entry['json']['seq']);
        self::assertSame(array_diff_key($entry['json'], ['ok' => 1, 'seq' => 1]), $reply->fields());
    }

    /**
     * @dataProvider replies
     * @param array<string, mixed> $entry
     */
    public function testAReplyToAnotherRequestIsNone(array $entry): void
    {
        $this->expectException(Garbled::class);
        Codec::decode(Vectors::content($entry), 4242);
    }

    /** @return array<string, array{array<string, mixed>}> */
    public function errors(): array
    {
        return Vectors::of('errors');
    }

    /**
     * @dataProvider errors
     * @param array<string, mixed> $entry
     */
    public function testAnErrorIsRaisedWithItsCodeAndWhoMustAct(array $entry): void
    {
        ['seq' => $seq, 'error' => $error] = $entry['json'];
        try {
            Codec::decode(Vectors::content($entry), $seq ?? 4242);
            self::fail('it was no error');
        } catch (Refused $refused) {
            self::assertSame($entry['known'] ? $error['code'] : 'internal', $refused->errorCode);
            self::assertSame($error['act'], $refused->act);
            self::assertSame($error['message'], $refused->getMessage());
            self::assertSame($error['detail'], $refused->detail);
        }
    }

    public function testTheErrorsKnownHereAreThoseOfTheGoldenFrames(): void
    {
        $known = array_filter(Vectors::of('errors'), static fn (array $arguments): bool => $arguments[0]['known']);
        $acts = [];
        foreach ($known as [$entry]) {
            $acts[$entry['json']['error']['code']] = $entry['json']['error']['act'];
        }
        self::assertEquals($acts, ErrorCodes::ACTS);
    }

    /** @return array<string, array{string}> */
    public function noReplies(): array
    {
        $texts = [
            '', ' ', 'null', 'true', '1', '"ok"', '[]', '[{"ok":true,"seq":1}]', '{}', '{"ok":true}', '{"seq":1}',
            '{"ok":1,"seq":1}', '{"ok":"true","seq":1}', '{"ok":null,"seq":1}', '{"ok":true,"seq":"1"}',
            '{"ok":true,"seq":1.0}', '{"ok":true,"seq":null}', '{"ok":true,"seq":2}', '{"ok":true,"seq":1', "{}\0x",
            '{"ok":true,"seq":1}{}', "\xef\xbb\xbf{\"ok\":true,\"seq\":1}", "{\"ok\":true,\"seq\":1,\"a\":\"\xff\"}",
            '{"ok":false,"seq":1}', '{"ok":false,"seq":1,"error":"busy"}', '{"ok":false,"seq":1,"error":{}}',
            '{"ok":false,"seq":1,"error":{"code":"busy"}}', '{"ok":false,"seq":1,"error":{"code":"busy","act":1}}',
            '{"ok":false,"seq":1,"error":{"code":1,"act":"web","message":"m","detail":{}}}',
            '{"ok":false,"seq":1,"error":{"code":"busy","act":"web","message":"m","detail":1}}',
            '{"ok":false,"seq":2,"error":{"code":"busy","act":"web","message":"m","detail":{}}}',
            '{"ok":false,"error":{"code":"busy","act":"web","message":"m","detail":{}}}',
            '{"ok":true,"seq":1,"deep":' . str_repeat('[', 100) . str_repeat(']', 100) . '}',
        ];
        return array_combine($texts, array_map(static fn (string $text): array => [$text], $texts));
    }

    /** @dataProvider noReplies */
    public function testWhatIsNoReplyIsGarbled(string $content): void
    {
        $this->expectException(Garbled::class);
        Codec::decode($content, 1);
    }

    public function testATextBeyondUtf8IsNotSent(): void
    {
        $this->expectException(\JsonException::class);
        Codec::encode(['cmd' => 'verify', 'id' => "\xff"], ['image']);
    }
}
