import Probes
import Testing

/// Lines of the trace, and the table at the end.
@Suite struct EventsFormatTests {
  static let function: UInt64 = 0xffff_ffff_8000_1000
  static let base = TraceRecord(
    group: "kprobes", event: "open", isUser: false, isReturn: false, comm: Array("cat".utf8),
    pid: 42, cpu: 0, time: 1_234_567_890_499, address: function, returnAddress: 0,
    arguments: [
      .init(
        name: "dfd", type: FetchType(name: "s32", size: 4, style: .signed),
        value: .number(0xffff_ff9c)),
      .init(
        name: "path", type: FetchType(name: "string", size: 4, style: .string),
        value: .text(Array("/etc/hosts".utf8))),
    ])

  static func line(_ record: TraceRecord, _ format: TraceFormat = .text) -> String {
    String(decoding: record.line(format) { FakeHit.symbol($0) }, as: UTF8.self)
  }

  @Test func kprobe() {
    #expect(
      Self.line(Self.base)
        == "             cat-42      [000] d....  1234.567890: open: (vfs_read+0x0/0x80) "
        + "dfd=-100 path=\"/etc/hosts\"\n")
  }

  @Test func kretprobe() {
    var record = Self.base
    record.isReturn = true
    record.returnAddress = Self.function + 0x24
    record.arguments = []
    record.comm = Array("a-long-name-of-a-task".utf8)
    record.cpu = 12
    record.time = 1_500
    #expect(
      Self.line(record)
        == "a-long-name-of-a-task-42      [012] d....     0.000002: open: "
        + "(vfs_read+0x24/0x80 <- vfs_read)\n")
  }

  @Test func uprobe() {
    var record = Self.base
    record.isUser = true
    record.address = 0x10204
    record.pid = 1_234_567
    record.time = 123_456_000_000_000
    record.arguments = []
    #expect(
      Self.line(record)
        == "             cat-1234567 [000] ..... 123456.000000: open: (0x10204)\n")
  }

  @Test func uretprobe() {
    var record = Self.base
    record.isUser = true
    record.isReturn = true
    record.address = 0x10204
    record.returnAddress = 0x10400
    record.time = 999_999_999
    record.arguments.removeLast()
    #expect(
      Self.line(record)
        == "             cat-42      [000] .....     1.000000: open: (0x10400 <- 0x10204) dfd=-100\n"
    )
  }

  @Test func addressesWithoutSymbols() {
    var record = Self.base
    record.address = 0xffff_ffff_9000_0000
    record.arguments = []
    #expect(Self.line(record).hasSuffix(": open: (0xffffffff90000000)\n"))
    record.isReturn = true
    #expect(Self.line(record).hasSuffix(": open: (0x0 <- 0xffffffff90000000)\n"))
  }

  @Test func jsonLines() {
    #expect(
      Self.line(Self.base, .json)
        == "{\"type\":\"kprobe\",\"group\":\"kprobes\",\"event\":\"open\",\"comm\":\"cat\",\"pid\":42,"
        + "\"cpu\":0,\"time_ns\":1234567890499,\"ip\":\"0xffffffff80001000\","
        + "\"symbol\":\"vfs_read\",\"offset\":0,"
        + "\"args\":{\"dfd\":-100,\"path\":\"/etc/hosts\"}}\n")
    var record = Self.base
    record.isReturn = true
    record.returnAddress = Self.function + 4
    record.comm = Array("q\"\\\u{1}\u{7f}\u{e9}".utf8) + [0xff]
    record.arguments = []
    #expect(
      Self.line(record, .json)
        == "{\"type\":\"kretprobe\",\"group\":\"kprobes\",\"event\":\"open\","
        + "\"comm\":\"q\\\"\\\\\\u0001\\u007f\u{e9}\u{fffd}\",\"pid\":42,\"cpu\":0,"
        + "\"time_ns\":1234567890499,\"function\":\"0xffffffff80001000\",\"symbol\":\"vfs_read\","
        + "\"offset\":0,\"ret_ip\":\"0xffffffff80001004\","
        + "\"ret_symbol\":\"vfs_read+0x4/0x80\",\"args\":{}}\n")
  }

  @Test func hitTable() {
    let table = HitTable(rows: [
      .init(group: "kprobes", event: "open", hits: 12, missed: 1),
      .init(group: "g", event: "an_event", hits: .max, missed: 0),
    ])
    #expect(
      String(decoding: table.text(.text), as: UTF8.self)
        == "  open                                                      12               1\n"
        + "  an_event                                     18446744073709551615               0\n")
    #expect(
      String(decoding: table.text(.json), as: UTF8.self)
        == "{\"type\":\"profile\",\"group\":\"kprobes\",\"event\":\"open\",\"hits\":12,\"missed\":1}\n"
        + "{\"type\":\"profile\",\"group\":\"g\",\"event\":\"an_event\",\"hits\":18446744073709551615,"
        + "\"missed\":0}\n")
  }
}
