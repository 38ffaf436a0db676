import Engine
import Image

/// How much `argv` and `envp` may come to.
///
/// - SeeAlso: Linux, `fs/exec.c`, `bprm_stack_limits`, `copy_strings`
enum ArgumentLimits {
  /// `MAX_ARG_STRLEN`: a string with its NUL.
  static let string = 131_072
  /// `ARG_MAX`: what is always granted.
  static let least: UInt64 = 131_072
  /// Three quarters of `_STK_LIM`: what is never exceeded.
  static let most: UInt64 = 6 << 20

  static func check(_ request: ExecRequest) throws(ExecError) {
    let name = Exec.text(request.path)
    let limit = max(min(most, request.limits.stack / 4), least)
    var total = UInt64(max(request.argv.count, 1) + request.envp.count) * 8
    total &+= UInt64(request.path.count + 1)
    for list in [request.argv, request.envp] {
      for text in list {
        guard text.count < string else {
          throw ExecError(
            .E2BIG, "\(name): an argument of \(text.count) bytes is longer than \(string - 1)")
        }
        total &+= UInt64(text.count + 1)
      }
    }
    guard total <= limit else {
      throw ExecError(.E2BIG, "\(name): arguments of \(total) bytes are more than \(limit)")
    }
  }
}

/// What a program finds on its stack: `argc`, `argv`, `envp`, the auxiliary vector, the strings.
///
/// - SeeAlso: Linux, `fs/binfmt_elf.c`, `create_elf_tables`; getauxval(3)
struct InitialStack {
  let request: ExecRequest
  let isa: any KernelISA
  let header: ELFHeader
  let bias: UInt64
  let interpreterBase: UInt64
  let random: [UInt8]

  /// `AT_*`.
  private enum Aux: UInt64 {
    case null = 0
    case phdr = 3
    case phent, phnum, pagesz, base, flags, entry
    case uid = 11
    case euid, gid, egid, platform, hwcap, clktck
    case secure = 23
    case random = 25
    case hwcap2 = 26
    case execfn = 31
    case minsigstksz = 51
  }

  /// Where the stack ends.
  ///
  /// The page above is left free, as it nearly always is on Linux, which places stacks at random: the
  /// first choice for `[uprobes]`, which so moves no other mapping.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `xol_add_vma`
  private static func top(_ isa: any KernelISA) -> UInt64 { isa.userEnd &- 4096 }

  /// Makes the stack's mapping and fills it.
  ///
  /// - Returns: the stack pointer.
  func place(in space: AddressSpace, executable: Bool) throws(Errno) -> UInt64 {
    // From the top: 8 zero bytes, the path, the environment, the arguments.
    let top = Self.top(isa)
    let execfn = top &- 8 &- UInt64(request.path.count + 1)
    let environment = Self.size(request.envp)
    let arguments = Self.size(request.argv)
    let envStart = execfn &- environment
    let argStart = envStart &- arguments
    var low = argStart & ~15
    low &-= 16
    let randomAt = low

    let vector = auxiliary(random: randomAt, execfn: execfn)
    let words = 1 + request.argv.count + 1 + request.envp.count + 1 + vector.count * 2
    let sp = (low &- UInt64(words * 8)) & ~15

    var blob = [UInt8](repeating: 0, count: Int(top &- sp))
    var at = 0
    func push(_ value: UInt64) {
      blob.store64(at, value)
      at += 8
    }
    push(UInt64(request.argv.count))
    Self.addresses(request.argv, from: argStart).forEach(push)
    push(0)
    Self.addresses(request.envp, from: envStart).forEach(push)
    push(0)
    let auxAt = at
    for (type, value) in vector {
      push(type)
      push(value)
    }
    space.auxv = Array(blob[auxAt..<at])
    Self.copy(random.prefix(16), &blob, Int(randomAt &- sp))
    Self.copy(strings: request.argv, &blob, Int(argStart &- sp))
    Self.copy(strings: request.envp, &blob, Int(envStart &- sp))
    Self.copy(request.path[...], &blob, Int(execfn &- sp))

    try map(space, sp, executable)
    try space.write(sp, blob)
    space.layout.startStack = sp
    space.layout.argStart = argStart
    space.layout.argEnd = envStart
    space.layout.envStart = envStart
    space.layout.envEnd = execfn
    return sp
  }

  /// The mapping reaches 128 KiB below what is filled, or as far as the limit allows.
  private func map(_ space: AddressSpace, _ sp: UInt64, _ executable: Bool) throws(Errno) {
    let top = Self.top(isa)
    let filled = sp & MM.pageMask
    let limit = max(top &- min(request.limits.stack, top), MM.minAddress)
    let start = min(filled, max(filled &- (128 << 10), MM.pageAlign(limit)))
    if space.intersects(start, top) { throw .ENOMEM }
    var prot = MM.PROT_READ | MM.PROT_WRITE
    if executable { prot |= MM.PROT_EXEC }
    try space.place(
      VMA(
        start: start, end: top, prot: prot, flags: .growsDown, backing: .anonymous,
        pageOffset: start >> 12, name: "[stack]"))
  }

  private func auxiliary(random: UInt64, execfn: UInt64) -> [(UInt64, UInt64)] {
    let headers = header.programHeadersAddress
    let phdr = headers == 0 ? 0 : headers &+ bias
    let signalStack = isa.largestSignalFrame.map { [(Aux.minsigstksz, $0)] } ?? []
    let vector: [(Aux, UInt64)] = [
      (.hwcap, isa.hwcap),
      (.pagesz, 4096),
      (.clktck, 100),
      (.phdr, phdr),
      (.phent, UInt64(ELFHeader.programHeaderSize)),
      (.phnum, UInt64(header.segments.count)),
      (.base, interpreterBase),
      (.flags, 0),
      (.entry, bias &+ header.entry),
      (.uid, UInt64(request.uid)),
      (.euid, UInt64(request.euid)),
      (.gid, UInt64(request.gid)),
      (.egid, UInt64(request.egid)),
      (.secure, request.uid != request.euid || request.gid != request.egid ? 1 : 0),
      (.random, random),
      (.hwcap2, isa.hwcap2),
      (.execfn, execfn),
      (.null, 0),
    ]
    return (signalStack + vector).map { ($0.0.rawValue, $0.1) }
  }

  private static func size(_ strings: [[UInt8]]) -> UInt64 {
    strings.reduce(0) { $0 &+ UInt64($1.count + 1) }
  }

  private static func addresses(_ strings: [[UInt8]], from start: UInt64) -> [UInt64] {
    var at = start
    return strings.map { text in
      defer { at &+= UInt64(text.count + 1) }
      return at
    }
  }

  private static func copy(strings: [[UInt8]], _ blob: inout [UInt8], _ start: Int) {
    var at = start
    for text in strings {
      copy(text[...], &blob, at)
      at += text.count + 1
    }
  }

  private static func copy(_ bytes: ArraySlice<UInt8>, _ blob: inout [UInt8], _ at: Int) {
    guard at >= 0, at + bytes.count <= blob.count else { return }
    blob.replaceSubrange(at..<(at + bytes.count), with: bytes)
  }
}
