<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Security;

use FaceWeb\Security\Passwords;
use InvalidArgumentException;
use PHPUnit\Framework\TestCase;

final class PasswordsTest extends TestCase
{
    /** @return array<string, array{bool}> */
    public static function algorithms(): array
    {
        return ['ARGON2ID' => [true], 'bcrypt' => [false]];
    }

    /** @dataProvider algorithms */
    public function testThePasswordFitsAndAnotherDoesNot(bool $argon2id): void
    {
        $passwords = new Passwords($argon2id);
        $hash = $passwords->hash('correct horse');
        self::assertTrue($passwords->verify($hash, 'correct horse'));
        self::assertFalse($passwords->verify($hash, 'correct horsf'));
        self::assertFalse($passwords->needsRehash($hash));
        self::assertLessThanOrEqual(255, strlen($hash));
    }

    /** @dataProvider algorithms */
    public function testEveryByteCountsBeyondTheSeventySecondAndAfterANul(bool $argon2id): void
    {
        $passwords = new Passwords($argon2id);
        $long = str_repeat('x', 100);
        self::assertFalse($passwords->verify($passwords->hash("{$long}a"), "{$long}b"));
        self::assertFalse($passwords->verify($passwords->hash("abc\0defghijkl"), "abc\0defghijkX"));
    }

    /** @dataProvider algorithms */
    public function testNobodyHasNoPasswordAndCostsAsMuchAsSomebody(bool $argon2id): void
    {
        $passwords = new Passwords($argon2id);
        $hash = $passwords->hash('correct horse');
        foreach ([null, ''] as $nobody) {
            self::assertFalse($passwords->verify($nobody, 'correct horse'));
        }
        $known = $this->fastest(fn () => $passwords->verify($hash, 'wrong password'));
        $unknown = $this->fastest(fn () => $passwords->verify(null, 'wrong password'));
        self::assertGreaterThan($known / 3, $unknown); // without the work it would be a thousandth
        self::assertLessThan($known * 3, $unknown);
    }

    public function testALongPasswordIsRefusedWithTheSameWork(): void
    {
        $passwords = new Passwords();
        self::assertFalse($passwords->verify($passwords->hash('correct horse'), str_repeat('x', 1_000_000)));
    }

    public function testAnAccentTypedInTwoPiecesIsTheSamePassword(): void
    {
        if (!class_exists(\Normalizer::class)) {
            self::markTestSkipped('this PHP has no intl');
        }
        $passwords = new Passwords();
        self::assertTrue($passwords->verify($passwords->hash("caf\u{e9} au lait"), "cafe\u{301} au lait"));
    }

    public function testAHashOfTheOtherKindIsVerifiedAndToBeRenewed(): void
    {
        $hash = (new Passwords(false))->hash('correct horse');
        self::assertTrue((new Passwords(true))->verify($hash, 'correct horse'));
        self::assertTrue((new Passwords(true))->needsRehash($hash));
    }

    public function testWhatCannotBeTakenIsNamed(): void
    {
        $passwords = new Passwords();
        self::assertSame('too_short', $passwords->objection('123456789'));
        self::assertNull($passwords->objection('1234567890'));
        self::assertNull($passwords->objection(str_repeat('李', 128)));
        self::assertSame('too_long', $passwords->objection(str_repeat('李', 129)));
        self::assertSame('invalid', $passwords->objection("\xff23456789012"));
        $this->expectException(InvalidArgumentException::class);
        $passwords->hash('short');
    }

    private function fastest(callable $work): float
    {
        $times = [];
        for ($round = 0; $round < 5; $round++) {
            $begin = hrtime(true);
            $work();
            $times[] = hrtime(true) - $begin;
        }
        return (float) min($times);
    }
}
