import Probes
import Testing

/// Fetch programs, evaluated and printed.
@Suite struct EventsFetchTests {
  struct Row: CustomTestStringConvertible, Sendable {
    var argument, text, json: String
    var isUser: Bool
    var testDescription: String { (isUser ? "u " : "k ") + argument }
    init(_ argument: String, _ text: String, _ json: String, user: Bool = false) {
      self.argument = argument
      self.text = text
      self.json = json
      isUser = user
    }
  }

  static let kernelData: UInt64 = 0xffff_ffff_8001_0000

  static func hit(user: Bool) -> FakeHit {
    var hit = FakeHit()
    hit.isUser = user
    hit.registers = [
      "a0": 0x8877_6655_4433_22f1, "a1": 0x1000, "sp": user ? 0x3000 : kernelData + 0x100,
      "ra": 0xffff_ffff_8000_1010, "s0": kernelData,
    ]
    hit.values = [0x1000, 42]
    hit.kept = [7]
    hit.returnValue = .max
    hit.stackPointer = user ? 0x3000 : kernelData + 0x100
    hit.fileBase = 0x1000 &- 0x40
    // User: text, and pointers to it; the last page ends at 0x4000.
    var page: [UInt8] = .block("hello", 16) + .block("wor\"ld\n", 16)
    for pointer: UInt64 in [0x1000, 0x1010, 0xdead_0000] {
      for shift in 0..<8 { page.append(UInt8(truncatingIfNeeded: pointer >> (shift * 8))) }
    }
    hit.user = [0x1000: page + [UInt8](repeating: 0, count: 4096 - page.count)]
    hit.user[0x3000] =
      [1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
      + [UInt8](repeating: 0x41, count: 4080)
    var data: [UInt8] = .block("Linux", 64)
    data += [0x00, 0x10, 0, 0, 0, 0, 0, 0]
    for shift in 0..<8 { data.append(UInt8(truncatingIfNeeded: kernelData >> (shift * 8))) }
    hit.kernel = [kernelData: data + [UInt8](repeating: 0, count: 4096 - data.count)]
    return hit
  }

  static let rows: [Row] = [
    // The same word in every type (kprobe_args_type).
    Row("%a0", "0x88776655443322f1", "\"0x88776655443322f1\""),
    Row("%a0:x64", "0x88776655443322f1", "\"0x88776655443322f1\""),
    Row("%a0:x32", "0x443322f1", "\"0x443322f1\""), Row("%a0:x16", "0x22f1", "\"0x22f1\""),
    Row("%a0:x8", "0xf1", "\"0xf1\""),
    Row("%a0:u64", "9833440827789222641", "9833440827789222641"),
    Row("%a0:u32", "1144201969", "1144201969"), Row("%a0:u16", "8945", "8945"),
    Row("%a0:u8", "241", "241"), Row("%a0:s8", "-15", "-15"), Row("%a0:s16", "8945", "8945"),
    Row("%a0:s64", "-8613303245920328975", "-8613303245920328975"),
    Row("%a0:b4@0/8", "1", "1"), Row("%a0:b4@4/8", "15", "15"), Row("%a0:b8@4/16", "47", "47"),
    Row("%a0:b64@0/64", "9833440827789222641", "9833440827789222641"),
    Row("%a0:b1@63/64", "1", "1"), Row("%a0:b32@32/64", "2289526357", "2289526357"),
    // Where values come from.
    Row("$retval", "0xffffffffffffffff", "\"0xffffffffffffffff\""), Row("$retval:s32", "-1", "-1"),
    Row("$arg1", "0x7", "\"0x7\""), Row("$comm", "\"cat\"", "\"cat\""),
    Row("$stack", "0xffffffff80010100", "\"0xffffffff80010100\""),
    Row("$stack0", "0x0", "\"0x0\""), Row("$stack", "0x3000", "\"0x3000\"", user: true),
    Row("$stack0:u8", "1", "1", user: true), Row("$stack1:s8", "-1", "-1", user: true),
    Row("$stack9999", "0x0", "\"0x0\"", user: true),
    Row("\\-1:s8", "-1", "-1"), Row("\\010:u8", "8", "8"), Row("\\+3:u8", "3", "3"),
    Row("\\\"hi\"", "\"hi\"", "\"hi\""), Row("\\\"\"", "\"\"", "\"\""),
    // Memory.
    Row("+0(%s0):string", "\"Linux\"", "\"Linux\""),
    Row("@_sdata:string", "\"Linux\"", "\"Linux\""),
    Row("@_sdata+1:char", "'i'", "\"i\""), Row("@_sdata:x16", "0x694c", "\"0x694c\""),
    Row("@0xffffffff80010000:char[3]", "{'L','i','n'}", "[\"L\",\"i\",\"n\"]"),
    Row("-1(@_sdata+65):u8", "(fault)", "null"),
    Row("+0(+72(%s0)):string", "\"Linux\"", "\"Linux\""),
    Row("\\0xffffffff80010001:string", "\"inux\"", "\"inux\""),
    Row("+0(%s0):u8[5]", "{76,105,110,117,120}", "[76,105,110,117,120]"),
    Row("+0(%s0):b4@4/8[2]", "{4,6}", "[4,6]"),
    // User memory from the kernel (kprobe_args_user).
    Row("+0(%a1):ustring", "\"hello\"", "\"hello\""),
    Row("+u0(%a1):string", "\"hello\"", "\"hello\""),
    Row("+u0(%a1):u8[2]", "{104,101}", "[104,101]"),
    Row("+0(%s0):ustring", "(fault)", "null"), Row("+u0(%s0):string", "(fault)", "null"),
    // Below the end of user space a plain fetch reads user memory.
    Row("+0(%a1):string", "\"hello\"", "\"hello\""),
    Row("+0(+64(%s0)):string", "\"hello\"", "\"hello\""),
    Row(
      "+32(%a1):string[3]", "{\"hello\",\"wor\"ld\n\",(fault)}",
      "[\"hello\",\"wor\\\"ld\\n\",null]"),
    Row("+32(%a1):ustring[2]", "{\"hello\",\"wor\"ld\n\"}", "[\"hello\",\"wor\\\"ld\\n\"]"),
    // Faults.
    Row("+0(%ra):string", "(fault)", "null"), Row("+0(+0(@0)):u8", "(fault)", "null"),
    Row("@0x10:u8", "(fault)", "null"), Row("+4094(%s0):u8[3]", "{0,0,(fault)}", "[0,0,null]"),
    Row("+0(%a0):x64", "(fault)", "null", user: true),
    // A probe of a program reads user memory only.
    Row("+0(%a1):string", "\"hello\"", "\"hello\"", user: true),
    Row("+0(%s0):string", "(fault)", "null", user: true),
    Row("@+0x50:string", "\"wor\"ld\n\"", "\"wor\\\"ld\\n\"", user: true),
    Row("@0x1001:string", "\"ello\"", "\"ello\"", user: true),
    // Symbols.
    Row("%ra:symbol", "vfs_read+0x10/0x80", "\"vfs_read+0x10/0x80\""),
    Row("%ra:symstr", "\"vfs_read+0x10/0x80\"", "\"vfs_read+0x10/0x80\""),
    Row("%a1:symbol", "0x1000", "\"0x1000\""), Row("%a1:symstr", "\"0x1000\"", "\"0x1000\""),
    Row("+72(%s0):symbol", "0xffffffff80010000", "\"0xffffffff80010000\""),
    Row("+72(%s0):symstr", "\"0xffffffff80010000\"", "\"0xffffffff80010000\""),
  ]

  @Test(arguments: rows)
  func value(_ row: Row) throws {
    let place = row.isUser ? "/bin/sh:16%return" : "vfs_read%return"
    let definition = try EventsWorld.parse("p:e \(place) v=\(row.argument)")
    let argument = try #require(definition.arguments.first)
    let value = argument.program.evaluate(Self.hit(user: row.isUser))
    let record = TraceRecord(
      group: "g", event: "e", isUser: true, isReturn: false, comm: [], pid: 1, cpu: 0, time: 0,
      address: 0, returnAddress: 0,
      arguments: [.init(name: "v", type: argument.program.type, value: value)])
    let text = String(decoding: record.line(.text) { FakeHit.symbol($0) }, as: UTF8.self)
    #expect(text.hasSuffix(": e: (0x0) v=\(row.text)\n"), "\(text)")
    let json = String(decoding: record.line(.json) { FakeHit.symbol($0) }, as: UTF8.self)
    #expect(json.hasSuffix("\"args\":{\"v\":\(row.json)}}\n"), "\(json)")
  }

  @Test func argumentsAtTheEntry() throws {
    let definition = try EventsWorld.parse("p vfs_read $arg1 $arg2:u8 $arg3")
    let hit = Self.hit(user: false)
    #expect(
      definition.arguments.map { $0.program.evaluate(hit) }
        == [.number(0x1000), .number(42), .fault])
  }

  @Test func stringsAreCutAtPathMax() throws {
    var hit = Self.hit(user: true)
    let long = [UInt8](repeating: 0x61, count: 9000)
    hit.user = [0x1000: long]
    let program = try #require(
      EventsWorld.parse("p /bin/sh:16 @0x1000:string").arguments.first
    ).program
    guard case .text(let text) = program.evaluate(hit) else {
      Issue.record("no text")
      return
    }
    #expect(text.count == EventLimits.string - 1)
    // The end of memory behind the NUL is no matter.
    hit.user = [0x1fc3: .block(String(repeating: "b", count: 60), 61)]
    let end = try #require(
      EventsWorld.parse("p /bin/sh:16 @0x1fc3:string").arguments.first
    ).program
    #expect(end.evaluate(hit) == .text([UInt8](repeating: 0x62, count: 60)))
  }
}
