<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Exchange\ClientRefused;
use FaceWeb\Exchange\ReturnAddress;
use PHPUnit\Framework\TestCase;

final class ReturnAddressTest extends TestCase
{
    /** @dataProvider accepted */
    public function testAnAddressThatABrowserMayBeSentTo(string $address, string $origin): void
    {
        ReturnAddress::check($address);
        self::assertSame($origin, ReturnAddress::origin($address));
    }

    /** @return iterable<array{string, string}> */
    public static function accepted(): iterable
    {
        yield ['https://shop.example/back', 'https://shop.example'];
        yield ['https://shop.example:8443/', 'https://shop.example:8443'];
        yield ['https://a-b.shop.example/x/y.php?lang=en&z', 'https://a-b.shop.example'];
        yield ['https://192.0.2.1/back', 'https://192.0.2.1'];
        yield ['http://127.0.0.1:8001/back', 'http://127.0.0.1:8001'];
        yield ['http://localhost/back', 'http://localhost'];
        yield ['https://shop.example/a;b,c', 'https://shop.example'];
    }

    /** @dataProvider refused */
    public function testAnAddressThatIsRefused(string $address): void
    {
        $this->expectException(ClientRefused::class);
        ReturnAddress::check($address);
    }

    /** @return iterable<string, array{string}> */
    public static function refused(): iterable
    {
        $addresses = [
            '', '/back', '//shop.example/back', 'shop.example/back', 'https://shop.example', 'https:///back',
            'http://shop.example/back', 'http://127.0.0.1.shop.example/', 'http://localhost.shop.example/',
            'http://127.0.0.1@shop.example/', 'http://[::1]/back', 'http://127.1/', 'http://0.0.0.0/',
            'https://user@shop.example/', 'https://user:pw@shop.example/', 'https://shop.example\\@evil.example/',
            'https://shop.example/#', 'https://shop.example/#x', 'https://*.shop.example/', 'https://shop.example/*',
            'https://Shop.example/back', 'HTTPS://shop.example/', 'https://-shop.example/', 'https://shöp.example/',
            'https://shop.example:0/', 'https://shop.example:99999/', 'https://shop.example:/x',
            'https://shop.example/a b', "https://shop.example/\r\nX: y", "https://shop.example/\n",
            'https://shop.example/\\', 'https://shop.example/ü', "https://shop.example/\0",
            'https://shop.example/a/../b', 'https://shop.example/%2e%2E/b', 'https://shop.example/..%2fb',
            'https://shop.example/.', 'https://shop.example/?code=1', 'https://shop.example/?a=1&state=2',
            'https://shop.example/?%63ode=1', 'https://shop.example/?code[]=1', 'https://shop.example;script-src/',
            'https://shop.example/"x', 'https://shop.example/<x>', 'javascript:alert(1)', 'data:text/html,x',
            'ftp://shop.example/', 'https://shop.example/' . str_repeat('a', 300),
        ];
        foreach ($addresses as $i => $address) {
            yield "$i " . json_encode(substr($address, 0, 50), JSON_INVALID_UTF8_SUBSTITUTE) => [$address];
        }
    }

    public function testTheAnswerIsAddedToAQueryThatIsThere(): void
    {
        $answer = ['code' => 'c', 'state' => 'a b&c=d#%'];
        $added = 'code=c&state=a%20b%26c%3Dd%23%25';
        self::assertSame("https://a.example/?$added", ReturnAddress::with('https://a.example/', $answer));
        self::assertSame("https://a.example/?x=1&$added", ReturnAddress::with('https://a.example/?x=1', $answer));
    }
}
