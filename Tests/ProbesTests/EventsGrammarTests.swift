import Probes
import Testing

/// Right definitions, as the listings of Linux show them.
@Suite struct EventsGrammarTests {
  struct Row: CustomTestStringConvertible, Sendable {
    var text, listing: String
    var testDescription: String { text }
    init(_ text: String, _ listing: String) {
      self.text = text
      self.listing = listing
    }
  }

  static let rows: [Row] = [
    Row("p vfs_read", "p:kprobes/p_vfs_read_0 vfs_read"),
    Row("p vfs_read+0x10", "p:kprobes/p_vfs_read_16 vfs_read+16"),
    Row("r vfs_read", "r:kprobes/r_vfs_read_0 vfs_read"),
    Row("r10 vfs_read $retval", "r10:kprobes/r_vfs_read_0 vfs_read arg1=$retval"),
    Row("r4096:g/e vfs_read+0", "r4096:g/e vfs_read"),
    Row("p vfs_read%return", "r:kprobes/r_vfs_read_0 vfs_read"),
    Row("p:e vfs_read+0%return $retval", "r:kprobes/e vfs_read arg1=$retval"),
    Row("p:foo/bar vfs_read", "p:foo/bar vfs_read"),
    Row("p:foo.bar vfs_read", "p:foo/bar vfs_read"),
    Row("p:fo-o/bar vfs_read", "p:fo-o/bar vfs_read"),
    Row("p:foo/ vfs_read", "p:foo/p_vfs_read_0 vfs_read"),
    Row("p f.isra.0", "p:kprobes/p_f_isra_0_0 f.isra.0"),
    Row(
      "p 0xffffffff80001000",
      "p:kprobes/p_0xffffffff80001000 0xffffffff80001000"),
    Row("  p\tvfs_read   %a0  ", "p:kprobes/p_vfs_read_0 vfs_read arg1=%a0"),
    Row(
      "p vfs_read a=%a0:u8 %a1 $stack $stack3 @0x10 @_sdata-8:u32",
      "p:kprobes/p_vfs_read_0 vfs_read a=%a0:u8 arg2=%a1 arg3=$stack arg4=$stack3 arg5=@0x10 "
        + "arg6=@_sdata-8:u32"),
    Row(
      "p vfs_read $arg1 +0($arg2):ustring -8(%sp):x8[4] $comm \\-1:s8 \\\"hi\"",
      "p:kprobes/p_vfs_read_0 vfs_read arg1=$arg1 arg2=+0($arg2):ustring arg3=-8(%sp):x8[4] "
        + "arg4=$comm arg5=\\-1:s8 arg6=\\\"hi\""),
    Row(
      "p vfs_read +0(+8(%a0)):string[3] +u4(%a1):b3@2/16 %a0:symbol %a0:symstr %a0:char",
      "p:kprobes/p_vfs_read_0 vfs_read arg1=+0(+8(%a0)):string[3] arg2=+u4(%a1):b3@2/16 "
        + "arg3=%a0:symbol arg4=%a0:symstr arg5=%a0:char"),
    Row("p /bin/sh:0x100", "p:uprobes/p_sh_0x100 /bin/sh:0x0000000000000100"),
    Row("r /bin/sh:010", "r:uprobes/p_sh_0x8 /bin/sh:0x0000000000000008"),
    Row(
      "p:g/e /bin/sh:16(0x20) @+0x30", "p:g/e /bin/sh:0x0000000000000010(0x20) arg1=@+0x30"),
    Row(
      "p /bin/sh:16%return $retval", "r:uprobes/p_sh_0x10 /bin/sh:0x0000000000000010 arg1=$retval"),
    Row("p /bin/sh:16%return(32)", "r:uprobes/p_sh_0x10 /bin/sh:0x0000000000000010(0x20)"),
    Row("p /lib/x:y.so:16", "p:uprobes/p_x_y_0x10 /lib/x:y.so:0x0000000000000010"),
    Row("p /bin/ld-linux.so:1", "p:uprobes/p_ld_0x1 /bin/ld-linux.so:0x0000000000000001"),
    Row("p:./busybox:main argc=$arg1", "p:uprobes/p_busybox_main_0 ./busybox:main argc=$arg1"),
    Row("r:./busybox:main $retval", "r:uprobes/r_busybox_main_0 ./busybox:main arg1=$retval"),
    Row(
      "p:./busybox:0x1a2c s0=%s0 sp=%sp +8(%sp):x64",
      "p:uprobes/p_busybox_0x1a2c ./busybox:0x0000000000001a2c s0=%s0 sp=%sp arg3=+8(%sp):x64"),
    Row("p:ev ./busybox:main+4", "p:uprobes/ev ./busybox:main+4"),
    Row("r ./busybox:main $arg1", "r:uprobes/r_busybox_main_0 ./busybox:main arg1=$arg1"),
  ]

  @Test(arguments: rows)
  func listing(_ row: Row) throws {
    let definition = try EventsWorld.parse(row.text)
    #expect(definition.listing == row.listing)
    // A listing is a definition of the same event.
    var again = try EventsWorld.parse(definition.listing)
    again.text = definition.text
    again.placeColumn = definition.placeColumn
    for index in again.arguments.indices {
      again.arguments[index].column = definition.arguments[index].column
    }
    #expect(again == definition)
  }

  @Test(arguments: [
    "%a0", "@_sdata", "@0x80010000", "@_sdata+10", "@_sdata-10", "$stack", "$stack0", "$stack1",
    "$comm", "$COMM", "+0(%a0)", "-0(%a0)", "+10($stack)", "+0($stack1)", "+10(@_sdata-10)",
    "+0(+10(+20($stack)))", "varname=%a0", "%a0:x16", "$comm:string", "+0($stack):string",
    "\\10", "\\+10", "\\0x10:u8", "@_sdata:b8@4/32", "+u0(%a0):u8[4]", "$stack2048",
    "x=+0(+0(+0(+0(+0(+0(+0(+0(+0(+0(+0(+0(%a0))))))))))))",
  ])
  func goodArguments(_ argument: String) throws {
    #expect(try EventsWorld.parse("p vfs_read \(argument)").arguments.count == 1)
  }

  @Test func entryArgumentsAreKeptOnce() throws {
    let definition = try EventsWorld.parse("r vfs_read $arg3 +0($arg1):string $arg3")
    #expect(definition.entryArguments == [2, 0])
    #expect(
      definition.arguments.map(\.program.load) == [
        .entryValue(0), .entryValue(1), .entryValue(0),
      ])
  }

  @Test func withoutAWorldNamesAreTaken() throws {
    let free = EventNames(isRegister: { _ in true })
    let definition = try EventParser.parse("p ext4:ext4_read+4 %any", free)
    #expect(definition.listing == "p:kprobes/p_ext4_ext4_read_4 ext4:ext4_read+4 arg1=%any")
  }

  // MARK: Several definitions

  struct Pair: CustomTestStringConvertible, Sendable {
    var first, second: String
    var problem: EventProblem?
    var column: Int
    var testDescription: String { "\(first); \(second)" }
    init(_ first: String, _ second: String, _ problem: EventProblem?, _ column: Int = 0) {
      self.first = first
      self.second = second
      self.problem = problem
      self.column = column
    }
  }

  @Test(arguments: [
    Pair("p:e vfs_read", "p:e vfs_read", .sameProbe), Pair("p vfs_read", "p vfs_read", .sameProbe),
    Pair("p:e vfs_read", "p:e vfs_read+4", nil),
    Pair("p:e vfs_read", "r:e vfs_read", .diffProbeType),
    Pair("p:e vfs_read", "p:f vfs_read", nil), Pair("p:e vfs_read", "p:g/e vfs_read", nil),
    Pair("p:k/e vfs_read", "p:k/e /bin/sh:1", .eventExist),
    Pair("p /bin/sh:1", "r /bin/sh:1", .diffProbeType),
    Pair("p:./busybox:main", "r:./busybox:main", nil),
    Pair("p:e vfs_read a=%a0", "p:e vfs_read+4 b=%a0", .diffArgType, 15),
    Pair("p:e vfs_read a=%a0", "p:e vfs_read+4 a=%a0:u8", .diffArgType, 15),
    Pair("p:e vfs_read a=%a0", "p:e vfs_read+4 a=%a0 %a1", .diffArgType, 21),
    Pair("p:e vfs_read a=%a0", "p:e vfs_read+4", .diffArgType, 14),
    Pair("p:e vfs_read a=@1:u8", "p:e vfs_read+4 a=@1:u8[2]", .diffArgType, 15),
    Pair("p:e vfs_read a=%a0", "p:e vfs_read a=%a1", nil),
  ])
  func appending(_ pair: Pair) throws {
    var set = EventSet()
    try set.add(EventsWorld.parse(pair.first))
    let second = try EventsWorld.parse(pair.second)
    do throws(EventError) {
      try set.add(second)
      #expect(pair.problem == nil)
    } catch {
      #expect(error.problem == pair.problem)
      #expect(error.column == pair.column)
      #expect(error.errno == .EEXIST)
    }
  }
}
