<?php

declare(strict_types=1);

namespace FaceWeb\Tests;

use PHPUnit\Framework\TestCase;

final class TemplatesTest extends TestCase
{
    /** @return iterable<string, array{string}> */
    public function templates(): iterable
    {
        $directory = dirname(__DIR__) . '/templates';
        foreach (glob("$directory/{,*/}*.php", GLOB_BRACE) as $file) {
            yield substr($file, strlen($directory) + 1) => [(string) file_get_contents($file)];
        }
    }

    /** @dataProvider templates */
    public function testWhatATemplatePrintsIsEscapedOrAnotherTemplates(string $source): void
    {
        preg_match_all('/<\?=\s*(.*?)\?>/s', $source, $found);
        foreach ($found[1] as $printed) {
            $isSafe = '/\A(e\(|\$part\(|\$content\b|\\\\FaceWeb\\\\View::json\(|[^?]+\?\? false\) \? \'1\' : \'0\')/';
            self::assertMatchesRegularExpression($isSafe, $printed);
        }
        self::assertDoesNotMatchRegularExpression('/\b(echo|print|printf)\b\s*[\'"$(]/', $source);
    }

    /** @dataProvider templates */
    public function testATemplateAssignsNothingAndBringsNoScriptOrStyleOfItsOwn(string $source): void
    {
        $code = implode('', array_map(
            static fn (\PhpToken $token): string => $token->is(T_INLINE_HTML) ? '' : $token->text,
            \PhpToken::tokenize($source),
        ));
        self::assertDoesNotMatchRegularExpression('/\$\w+(\[[^]]*\])?\s*(=(?![=>])|\+=|\.=)/', $code);
        $inline = '~<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(src=|application/json))~';
        self::assertDoesNotMatchRegularExpression($inline, $source);
        self::assertDoesNotMatchRegularExpression('~(src|href|action)="(https?:)?//~', $source);
    }

    /** @dataProvider templates */
    public function testEveryFormThatPostsHasTheToken(string $source): void
    {
        preg_match_all('~<form[^>]*method="post"[^>]*>(.*?)</form>~s', $source, $forms, PREG_SET_ORDER);
        foreach ($forms as [$form, $inside]) {
            $sentByTheCamera = preg_match('/id="(claim|captures)"/', $form) === 1;
            self::assertTrue($sentByTheCamera || str_contains($inside, 'name="_csrf"'), $form);
        }
        self::assertNotSame('', $source);
    }
}
