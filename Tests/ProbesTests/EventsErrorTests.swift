import Probes
import Testing

/// Wrong definitions: the caret stands where Linux's selftests want it.
///
/// - SeeAlso: Linux, `tools/testing/selftests/ftrace/test.d/kprobe/kprobe_syntax_errors.tc`,
///   `uprobe_syntax_errors.tc`, `kprobe_args_syntax.tc`.
@Suite struct EventsErrorTests {
  struct Row: CustomTestStringConvertible, Sendable {
    var text: String
    var problem: EventProblem
    var testDescription: String { "\(text) \(problem.rawValue)" }
    init(_ text: String, _ problem: EventProblem) {
      self.text = text
      self.problem = problem
    }
  }

  static let long = String(repeating: "1234567890", count: 6) + "12345"
  static let nested =
    "+0(^" + String(repeating: "+0(", count: 13) + "@0"
    + String(repeating: ")", count: 14)

  static let kernel: [Row] = [
    Row("p^100 vfs_read", .badMaxactType), Row("r^1a111 vfs_read", .badMaxact),
    Row("r^0 vfs_read", .badMaxact), Row("r^100000 vfs_read", .maxactTooBig),
    Row("r^4097:x vfs_read", .maxactTooBig), Row("r^99999999999999999999 vfs_read", .badMaxact),
    Row("p ^non_exist_func", .badProbeAddr), Row("p ^hoge-fuga", .badProbeAddr),
    Row("p ^hoge+1000-1000", .badProbeAddr), Row("p ^vfs_read-1", .badProbeAddr),
    Row("p ^vfs_read+", .badProbeAddr),
    Row("p ^vfs_read+0x100000000", .badProbeAddr), Row("p ^mod:vfs_read", .badProbeAddr),
    Row("p ^0x", .badProbeAddr), Row("p ^:vfs_read", .badProbeAddr),
    Row("p ^twice", .nonUniqSymbol), Row("r ^vfs_read+10", .badRetprobe),
    Row("p ^vfs_read+10%return", .badRetprobe), Row("p vfs_read^%hoge", .badAddrSuffix),
    Row("p vfs_read^%returnx", .badAddrSuffix),
    Row("p:^/bar vfs_read", .noGroupName), Row("p:^\(long)/bar vfs_read", .groupTooLong),
    Row("p:^foo.1/bar vfs_read", .badGroupName), Row("p:^1foo/bar vfs_read", .badGroupName),
    Row("p:^ vfs_read", .noEventName), Row("p:foo/^\(long) vfs_read", .eventTooLong),
    Row("p:foo/^bar.1 vfs_read", .badEventName), Row("p:^a-b vfs_read", .badEventName),
    Row("p:foo/^a-b vfs_read", .badEventName),
    Row("p vfs_read ^$retval", .retvalOnProbe), Row("p vfs_read ^$stack10000", .badStackNum),
    Row("p vfs_read ^$arg10000", .badArgNum), Row("p vfs_read ^$arg0", .badArgNum),
    Row("p vfs_read+4 ^$arg1", .badVar), Row("p vfs_read ^$arg1x", .badVar),
    Row("p vfs_read ^$none_var", .badVar), Row("p vfs_read ^$", .badVar),
    Row("p vfs_read ^$stackp", .badVar), Row("p vfs_read ^$stack0+10", .badVar),
    Row("p vfs_read ^$stack1-10", .badVar), Row("p vfs_read ^$arg*", .nosupBtfarg),
    Row("p vfs_read ^name", .nosupBtfarg), Row("p vfs_read ^_n->m", .nosupBtfarg),
    Row("p vfs_read ^%none_reg", .badRegName), Row("p vfs_read ^%", .badRegName),
    Row("p vfs_read ^@12345678abcde", .badMemAddr), Row("p vfs_read ^@", .badMemAddr),
    Row("p vfs_read ^@deaqswdefr", .badMemAddr), Row("p vfs_read ^@_sdata*10", .badMemAddr),
    Row("p vfs_read ^@_sdata/10", .badMemAddr), Row("p vfs_read ^@_sdata%10", .badMemAddr),
    Row("p vfs_read ^@_sdata&10", .badMemAddr), Row("p vfs_read ^@_sdata|10", .badMemAddr),
    Row("p vfs_read ^@_sdata+x", .badMemAddr), Row("p vfs_read ^@twice", .nonUniqSymbol),
    Row("p vfs_read ^@+10", .fileOnKprobe),
    Row("p vfs_read \\^x", .badImm), Row("p vfs_read \\^", .badImm),
    Row("p vfs_read \\^12x", .badImm), Row("p vfs_read \\^--1", .badImm),
    Row("p vfs_read \\^99999999999999999999", .badImm),
    Row("p vfs_read \\\"abc^", .immstrNoClose), Row("p vfs_read \\\"^", .immstrNoClose),
    Row("p vfs_read ^+0@0)", .derefNeedBrace), Row("p vfs_read ^+0ab1(@0)", .badDerefOffs),
    Row("p vfs_read ^+(%a0)", .badDerefOffs), Row("p vfs_read ^-(%a0)", .badDerefOffs),
    Row("p vfs_read ^+-1(%a0)", .badDerefOffs), Row("p vfs_read ^--1(%a0)", .badDerefOffs),
    Row("p vfs_read ^+99999999999(%a0)", .badDerefOffs), Row("p vfs_read ^+u(%a0)", .badDerefOffs),
    Row("p vfs_read +0(+0(@0^)", .derefOpenBrace), Row("p vfs_read +u0(+0(@0^)", .derefOpenBrace),
    Row("p vfs_read +0(^$comm)", .commCantDeref), Row("p vfs_read +u0(^\\\"a\")", .commCantDeref),
    Row("p vfs_read +0(%a0)^+10", .badFetchArg), Row("p vfs_read +0(^)", .badFetchArg),
    Row("p vfs_read ^&1", .badFetchArg), Row("p vfs_read ^(%a0+10)", .badFetchArg),
    Row("p vfs_read ^(%a0)", .badFetchArg), Row("p vfs_read ^1", .badFetchArg),
    Row("p vfs_read ^\u{e9}", .badFetchArg),
    Row("p vfs_read \(nested)", .tooManyOps),
    Row("p vfs_read +0(@11):u8[10^", .arrayNoClose),
    Row("p vfs_read +0(@11):u8[10]^a", .badArraySuffix),
    Row("p vfs_read +0(@11):u8[^10a]", .badArrayNum), Row("p vfs_read @11:u8[^]", .badArrayNum),
    Row("p vfs_read @11:u8[^0]", .badArrayNum), Row("p vfs_read @11:u8[^-1]", .badArrayNum),
    Row("p vfs_read +0(@11):u8[^256]", .arrayTooBig), Row("p vfs_read @11:u8[^65]", .arrayTooBig),
    Row("p vfs_read @11:^unknown_type", .badType), Row("p vfs_read %a0:^:x16", .badType),
    Row("p vfs_read %a0:^y16", .badType), Row("p vfs_read %a0:^", .badType),
    Row("p vfs_read x16:^%a0", .badType), Row("p vfs_read %a0:^u128", .badType),
    Row("p vfs_read %a0:^b4@0/12", .badType), Row("p vfs_read %a0:^b4", .badType),
    Row("p vfs_read $stack0:^string", .badString), Row("p vfs_read %a0:^ustring", .badString),
    Row("p vfs_read %a0:^u8[2]", .badString), Row("p vfs_read $stack:^string", .badString),
    Row("p vfs_read \\1:^symstr", .badSymstring),
    Row("p vfs_read +0(%a0):^symstr[2]", .badString),
    Row("p vfs_read $comm:^x64", .needStringType),
    Row("p vfs_read $comm:^string[2]", .needStringType),
    Row("p vfs_read \\\"a\":^u8", .needStringType),
    Row("p vfs_read @11:^b10@a/16", .badBitfield), Row("p vfs_read @11:^b0@0/8", .badBitfield),
    Row("p vfs_read @11:^b4@5/8", .badBitfield), Row("p vfs_read @11:^b99@0/64", .badBitfield),
    Row("p vfs_read @11:^b@1/8", .badBitfield), Row("p vfs_read @11:^b4x1/8", .badBitfield),
    Row("p vfs_read @11:^b4@99999999999999999999/8", .badBitfield),
    Row("p vfs_read ^arg123456789012345678901234567890=@11", .argNameTooLong),
    Row("p vfs_read ^=@11", .noArgName), Row("p vfs_read ^var.1=@11", .badArgName),
    Row("p vfs_read ^1var=@11", .badArgName), Row("p vfs_read var1=@11 ^var1=@12", .usedArgName),
    Row("p vfs_read arg2=%a0 ^%a1", .usedArgName), Row("p vfs_read ^common_pid=%a0", .usedArgName),
    Row("p vfs_read ^__probe_ip=%a0", .usedArgName),
    Row("p vfs_read varname=^varname2=%a0", .nosupBtfarg),
    Row(
      "p vfs_read ^+1234567(+1234567(+1234567(+1234567(+1234567(+1234567(@1234))))))",
      .argTooLong),
    Row("p vfs_read arg1=^", .noArgBody),
    Row("^", .noProbeType), Row("^x vfs_read", .noProbeType),
    Row("^-:vfs_read", .noProbeType), Row("p^x vfs_read", .noProbeType), Row("p^", .noProbePoint),
    Row("p:foo^", .noProbePoint), Row("p vfs_read ^\u{1}", .controlCharacter),
    Row("p ^\u{0}vfs_read", .controlCharacter), Row("p vfs_read^\n", .controlCharacter),
  ]

  static let user: [Row] = [
    Row("p ^/non_exist_file:100", .fileNotFound), Row("p ^/sys:100", .noRegularFile),
    Row("p /bin/sh:^10a", .badUprobeOffs), Row("p /bin/sh:^", .badUprobeOffs),
    Row("p /bin/sh:^-1", .badUprobeOffs), Row("p /bin/sh:10(^1a)", .badRefcnt),
    Row("p /bin/sh:10(^)", .badRefcnt), Row("p /bin/sh:10(10^", .refcntOpenBrace),
    Row("p /bin/sh:10(10)^a", .badRefcntSuffix), Row("p /bin/sh:10^%hoge", .badAddrSuffix),
    Row("p /bin/sh:10(10)^%return", .badRefcntSuffix), Row("p /bin/sh:10 ^@+ab", .badFileOffs),
    Row("p /bin/sh:10 ^@symbol", .symOnUprobe), Row("p /bin/sh:10 ^@", .symOnUprobe),
    Row("p /bin/sh:10 $stack0:^symstr", .badType), Row("p /bin/sh:10 %a0:^symbol", .badType),
    Row("p /bin/sh:10 ^$arg1", .badVar), Row("p /bin/sh:main+4 ^$arg1", .badVar),
    Row("r^10 /bin/sh:10", .badMaxactType), Row("r /bin/sh:^main+4", .badRetprobe),
    Row("p /bin/sh:^main+x", .badUprobeOffs), Row("p:./busybox:^main-1", .badUprobeOffs),
    Row("p:^./none:main", .fileNotFound), Row("p:./busybox:main ^$retval", .retvalOnProbe),
    Row("p:./busybox:main %a0 ^%bad", .badRegName),
  ]

  @Test(arguments: kernel + user)
  func caret(_ row: Row) throws {
    let (text, column) = row.split
    let error = try #require(EventsWorld.error(text), "accepted: \(text)")
    #expect(error.problem == row.problem)
    #expect(error.column == column)
    let caret = try #require(error.lines.last)
    #expect(caret.hasSuffix("^"))
    let kernel = Self.kernel.contains { $0.text == row.text }
    #expect(error.subsystem == (kernel ? "trace_kprobe" : "trace_uprobe"))
  }

  @Test func everyProblemOfTheParserHasARow() {
    let elsewhere: Set<EventProblem> = [
      .tooManyArgs, .eventTooBig, .lineTooLong, .eventExist, .badInsnBndry, .failRegProbe,
      .diffProbeType, .diffArgType, .sameProbe, .noSuchEvent, .eventBusy,
    ]
    let seen = Set((Self.kernel + Self.user).map(\.problem))
    #expect(Set(EventProblem.allCases).subtracting(elsewhere).subtracting(seen).isEmpty)
  }

  @Test func numbersOfArguments() throws {
    let many = "p vfs_read" + String(repeating: " %a0", count: 128)
    #expect(try EventsWorld.parse(many).arguments.count == 128)
    let error = try #require(EventsWorld.error(many + " %a1"))
    #expect(error.problem == .tooManyArgs)
    #expect(error.column == many.utf8.count + 1)
    #expect(error.errno == .E2BIG)
    let big = "p vfs_read" + String(repeating: " @1:x64[64]", count: 6)
    #expect(EventsWorld.error(big)?.problem == .eventTooBig)
    let line = "p vfs_read" + String(repeating: " ", count: 4090)
    #expect(EventsWorld.error(line)?.problem == .lineTooLong)
  }

  @Test func linesAsInTheErrorLog() throws {
    let error = try #require(EventsWorld.error("p vfs_read %none_reg"))
    #expect(
      error.lines == [
        "trace_kprobe: error: Invalid register name (EINVAL, column 12)",
        "  Command: p vfs_read %none_reg",
        "                      ^",
      ])
    // A character of several bytes is one column of the screen.
    let wide = try #require(EventsWorld.error("p /b\u{fc}n:10"))
    #expect(wide.lines.last == "             ^")
    let behind = try #require(EventsWorld.error("p vfs_read \\\"\u{fc}\" %x"))
    #expect(behind.lines.last == String(repeating: " ", count: 11 + 16) + "^")
  }
}

extension EventsErrorTests.Row {
  /// The definition without its caret, and where the caret was.
  var split: (String, Int) {
    let bytes = Array(text.utf8)
    guard let at = bytes.lastIndex(of: UInt8(ascii: "^")) else { return (text, 0) }
    let without = bytes.filter { $0 != UInt8(ascii: "^") }
    let before = bytes[..<at].count { $0 == UInt8(ascii: "^") }
    return (String(decoding: without, as: UTF8.self), at - before)
  }
}
