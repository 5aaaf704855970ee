<?php

declare(strict_types=1);

namespace FaceWeb\Tests;

use FaceWeb\Language;
use PHPUnit\Framework\TestCase;

final class LanguageTest extends TestCase
{
    public function testEveryTextIsThereInEveryLanguageWithTheSamePlaces(): void
    {
        $english = Language::named('en');
        foreach (Language::codes() as $code) {
            $other = Language::named($code);
            self::assertSame($english->keys(), $other->keys());
            foreach ($english->group('') as $key => $text) {
                self::assertSame(self::places($text), self::places($other->group('')[$key]), "$code $key");
            }
        }
        self::assertNotSame($english->text('login.title'), Language::named('zh')->text('login.title'));
    }

    public function testEveryTextThatTheSiteNamesIsThere(): void
    {
        $known = Language::named('en');
        $folders = dirname(__DIR__) . '/{templates,templates/admin,src,src/Page,public}';
        $files = (array) glob("$folders/*.{php,js}", GLOB_BRACE);
        $named = 0;
        foreach ($files as $file) {
            $calls = "(?:(?<![a-z_])t\\(|(?<![a-z_])text\\(|redirect\\([^,()]+, |no\\('[a-z]+', )";
            $pattern = "~$calls'([a-z_]+(?:\\.[a-z_0-9]+)+)'~";
            preg_match_all($pattern, (string) file_get_contents($file), $found);
            foreach ($found[1] as $key) {
                self::assertTrue($known->has($key), "$file: $key");
                $named++;
            }
        }
        self::assertGreaterThan(100, $named);
    }

    /** @dataProvider headers */
    public function testTheBrowsersFirstChoiceThatWeHaveIsTaken(?string $header, string $code): void
    {
        self::assertSame($code, Language::accepted($header)->code);
    }

    /** @return list<array{?string, string}> */
    public function headers(): array
    {
        return [
            [null, 'en'],
            ['', 'en'],
            ['de-DE,de;q=0.9', 'en'],
            ['zh-CN,zh;q=0.9,en;q=0.8', 'zh'],
            ['en-GB,zh;q=0.9', 'en'],
            ['fr, zh-Hans;q=0.3, en;q=0.2', 'zh'],
            ['zh;q=0, en;q=0.1', 'en'],
            ['zh;q=nonsense', 'zh'],
            [str_repeat('x,', 10000), 'en'],
        ];
    }

    /** @return list<string> */
    private static function places(string $text): array
    {
        preg_match_all('/\{[a-z]+\}/', $text, $found);
        sort($found[0]);
        return $found[0];
    }
}
