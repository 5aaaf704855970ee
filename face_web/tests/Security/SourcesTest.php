<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Security;

use FaceWeb\Security\Sources;
use InvalidArgumentException;
use PHPUnit\Framework\TestCase;

final class SourcesTest extends TestCase
{
    public function testWithoutATrustedProxyTheHeaderIsNotRead(): void
    {
        self::assertSame('203.0.113.5', (new Sources([]))->of('203.0.113.5', '1.2.3.4'));
    }

    public function testTheHopBeforeATrustedProxyCounts(): void
    {
        $sources = new Sources(['10.0.0.1']);
        self::assertSame('198.51.100.7', $sources->of('10.0.0.1', '198.51.100.7'));
        self::assertSame('198.51.100.7', $sources->of('10.0.0.1', '1.2.3.4, 198.51.100.7'), 'a forged hop to the left');
        self::assertSame('10.0.0.2', $sources->of('10.0.0.2', '198.51.100.7'), 'a proxy that is not trusted');
    }

    public function testAChainOfTrustedProxiesIsFollowed(): void
    {
        $sources = new Sources(['10.0.0.0/8', 'fd00::/8']);
        self::assertSame('198.51.100.7', $sources->of('10.1.2.3', '9.9.9.9, 198.51.100.7, fd00::5, 10.9.9.9'));
        self::assertSame('10.9.9.9', $sources->of('10.1.2.3', '10.9.9.9'));
    }

    public function testRubbishInTheHeaderEndsTheChainAtTheLastAddressThatIsKnown(): void
    {
        $sources = new Sources(['10.0.0.0/8']);
        foreach (['', 'unknown', '<script>', ',,,', '1.2.3', '1.2.3.4, evil'] as $header) {
            self::assertSame('10.0.0.1', $sources->of('10.0.0.1', $header), $header);
        }
        self::assertSame('10.0.0.1', $sources->of('10.0.0.1', null));
        self::assertSame('10.0.0.9', $sources->of('10.0.0.1', '1.2.3.4, evil, 10.0.0.9'));
    }

    public function testIpVersionSixIsCutToSixtyFourBits(): void
    {
        $sources = new Sources([]);
        self::assertSame('2001:db8:1:2::/64', $sources->of('2001:db8:1:2:aaaa::1', null));
        self::assertSame($sources->of('2001:db8:1:2::ffff', null), $sources->of('2001:DB8:1:2::1', null));
        self::assertNotSame($sources->of('2001:db8:1:3::1', null), $sources->of('2001:db8:1:2::1', null));
    }

    public function testDifferentWritingsOfAnAddressAreOneSource(): void
    {
        $sources = new Sources(['127.0.0.1']);
        self::assertSame('192.0.2.1', $sources->of('::ffff:192.0.2.1', null));
        self::assertSame('192.0.2.1', $sources->of('127.0.0.1', '192.0.2.1:5555'));
        self::assertSame('2001:db8::/64', $sources->of('127.0.0.1', '[2001:db8::1]:443'));
    }

    public function testAnAddressThatIsNoneIsOneSourceOfItsOwn(): void
    {
        self::assertSame('unknown', (new Sources(['10.0.0.1']))->of('unix:', '1.2.3.4'));
    }

    /** @dataProvider wrongProxies */
    public function testAProxyThatIsNoAddressIsRefused(string $proxy): void
    {
        $this->expectException(InvalidArgumentException::class);
        new Sources([$proxy]);
    }

    /** @return list<array{string}> */
    public static function wrongProxies(): array
    {
        return [['nginx'], ['10.0.0.0/33'], ['10.0.0.0/x'], ['10.0.0.0/'], [''], ['::/129']];
    }

    public function testANetworkOfOddLengthIsCutAtTheBit(): void
    {
        $sources = new Sources(['10.0.4.0/22']);
        self::assertSame('1.2.3.4', $sources->of('10.0.7.255', '1.2.3.4'));
        self::assertSame('10.0.8.0', $sources->of('10.0.8.0', '1.2.3.4'));
    }
}
