<?php

declare(strict_types=1);

namespace FaceWeb\Tests\People;

use FaceWeb\People\Entries;
use FaceWeb\People\InvalidEntry;
use PHPUnit\Framework\TestCase;

final class EntriesTest extends TestCase
{
    public function testAnEmailIsTrimmedAndLowerCased(): void
    {
        self::assertSame('ann.b+c@example.org', Entries::email("  Ann.B+C@Example.ORG\n"));
    }

    /** @dataProvider wrongEmails */
    public function testWhatIsNoEmailIsRefused(string $typed): void
    {
        $this->expectException(InvalidEntry::class);
        Entries::email($typed);
    }

    /** @return list<array{string}> */
    public static function wrongEmails(): array
    {
        return [[''], ['ann'], ['ann@'], ['@example.org'], ['ann@example'], ['a b@example.org'], ["ann@example.org\0"],
            ["ann\r\nBcc: x@example.org"], ["mar\u{212A}@example.org"], ["\xff@example.org"],
            [str_repeat('a', 250) . '@example.org'], ['<script>@example.org']];
    }

    public function testANameIsTrimmedAndComposed(): void
    {
        self::assertSame('李小龙', Entries::name("\u{3000} 李小龙 "));
        if (class_exists(\Normalizer::class)) {
            self::assertSame("Ren\u{e9}", Entries::name("Rene\u{301}"));
        }
        self::assertSame("O'Brien <b>", Entries::name("O'Brien <b>"), 'escaping is the business of who shows it');
    }

    /** @dataProvider wrongNames */
    public function testWhatIsNoNameIsRefusedWithTheReason(string $typed, string $reason): void
    {
        try {
            Entries::name($typed);
            self::fail('it was taken');
        } catch (InvalidEntry $error) {
            self::assertSame(['name', $reason], [$error->field, $error->reason]);
        }
    }

    /** @return list<array{string, string}> */
    public static function wrongNames(): array
    {
        return [['', 'empty'], [" \t\u{a0}", 'empty'], [str_repeat('x', 101), 'too_long'], ["A\0B", 'invalid'],
            ["A\nB", 'invalid'], ["Ann\u{202E}nimdA", 'invalid'], ["\xff", 'invalid'], ["A\u{7f}", 'invalid']];
    }
}
