import GuestKernel

/// What is wrong with a definition: Linux's own list, and a few that Linux answers without a word.
///
/// - SeeAlso: Linux, `kernel/trace/trace_probe.h`, `ERRORS`.
public enum EventProblem: String, Sendable, CaseIterable {
  // The place.
  case fileNotFound = "FILE_NOT_FOUND"
  case noRegularFile = "NO_REGULAR_FILE"
  case badRefcnt = "BAD_REFCNT"
  case refcntOpenBrace = "REFCNT_OPEN_BRACE"
  case badRefcntSuffix = "BAD_REFCNT_SUFFIX"
  case badUprobeOffs = "BAD_UPROBE_OFFS"
  case badMaxactType = "BAD_MAXACT_TYPE"
  case badMaxact = "BAD_MAXACT"
  case maxactTooBig = "MAXACT_TOO_BIG"
  case badProbeAddr = "BAD_PROBE_ADDR"
  case nonUniqSymbol = "NON_UNIQ_SYMBOL"
  case badRetprobe = "BAD_RETPROBE"
  case badAddrSuffix = "BAD_ADDR_SUFFIX"
  // The event's name.
  case noGroupName = "NO_GROUP_NAME"
  case groupTooLong = "GROUP_TOO_LONG"
  case badGroupName = "BAD_GROUP_NAME"
  case noEventName = "NO_EVENT_NAME"
  case eventTooLong = "EVENT_TOO_LONG"
  case badEventName = "BAD_EVENT_NAME"
  case eventExist = "EVENT_EXIST"
  // The arguments.
  case retvalOnProbe = "RETVAL_ON_PROBE"
  case badStackNum = "BAD_STACK_NUM"
  case badArgNum = "BAD_ARG_NUM"
  case badVar = "BAD_VAR"
  case badRegName = "BAD_REG_NAME"
  case badMemAddr = "BAD_MEM_ADDR"
  case badImm = "BAD_IMM"
  case immstrNoClose = "IMMSTR_NO_CLOSE"
  case fileOnKprobe = "FILE_ON_KPROBE"
  case badFileOffs = "BAD_FILE_OFFS"
  case symOnUprobe = "SYM_ON_UPROBE"
  case tooManyOps = "TOO_MANY_OPS"
  case derefNeedBrace = "DEREF_NEED_BRACE"
  case badDerefOffs = "BAD_DEREF_OFFS"
  case derefOpenBrace = "DEREF_OPEN_BRACE"
  case commCantDeref = "COMM_CANT_DEREF"
  case badFetchArg = "BAD_FETCH_ARG"
  case arrayNoClose = "ARRAY_NO_CLOSE"
  case badArraySuffix = "BAD_ARRAY_SUFFIX"
  case badArrayNum = "BAD_ARRAY_NUM"
  case arrayTooBig = "ARRAY_TOO_BIG"
  case badType = "BAD_TYPE"
  case badString = "BAD_STRING"
  case badSymstring = "BAD_SYMSTRING"
  case badBitfield = "BAD_BITFIELD"
  case argNameTooLong = "ARG_NAME_TOO_LONG"
  case noArgName = "NO_ARG_NAME"
  case badArgName = "BAD_ARG_NAME"
  case usedArgName = "USED_ARG_NAME"
  case argTooLong = "ARG_TOO_LONG"
  case noArgBody = "NO_ARG_BODY"
  case nosupBtfarg = "NOSUP_BTFARG"
  case needStringType = "NEED_STRING_TYPE"
  case tooManyArgs = "TOO_MANY_ARGS"
  case eventTooBig = "EVENT_TOO_BIG"
  // Registration.
  case badInsnBndry = "BAD_INSN_BNDRY"
  case failRegProbe = "FAIL_REG_PROBE"
  case diffProbeType = "DIFF_PROBE_TYPE"
  case diffArgType = "DIFF_ARG_TYPE"
  case sameProbe = "SAME_PROBE"
  // Deviation: Linux refuses these without a line in its error log.
  case noProbeType = "NO_PROBE_TYPE"
  case noProbePoint = "NO_PROBE_POINT"
  case noSuchEvent = "NO_SUCH_EVENT"
  case eventBusy = "EVENT_BUSY"
  case controlCharacter = "CONTROL_CHARACTER"
  case lineTooLong = "LINE_TOO_LONG"

  /// Linux's words for it.
  ///
  /// - SeeAlso: Linux, `kernel/trace/trace_probe.h`, `ERRORS`: the spelling is its own.
  public var message: String {
    switch self {
    case .fileNotFound: "Failed to find the given file"
    case .noRegularFile: "Not a regular file"
    case .badRefcnt: "Invalid reference counter offset"
    case .refcntOpenBrace: "Reference counter brace is not closed"
    case .badRefcntSuffix: "Reference counter has wrong suffix"
    case .badUprobeOffs: "Invalid uprobe offset"
    case .badMaxactType: "Maxactive is only for function exit"
    case .badMaxact: "Invalid maxactive number"
    case .maxactTooBig: "Maxactive is too big"
    case .badProbeAddr: "Invalid probed address or symbol"
    case .nonUniqSymbol: "The symbol is not unique"
    case .badRetprobe: "Retprobe address must be an function entry"
    case .badAddrSuffix: "Invalid probed address suffix"
    case .noGroupName: "Group name is not specified"
    case .groupTooLong: "Group name is too long"
    case .badGroupName: "Group name must follow the same rules as C identifiers"
    case .noEventName: "Event name is not specified"
    case .eventTooLong: "Event name is too long"
    case .badEventName: "Event name must follow the same rules as C identifiers"
    case .eventExist: "Given group/event name is already used by another event"
    case .retvalOnProbe: "$retval is not available on probe"
    case .badStackNum: "Invalid stack number"
    case .badArgNum: "Invalid argument number"
    case .badVar: "Invalid $-valiable specified"
    case .badRegName: "Invalid register name"
    case .badMemAddr: "Invalid memory address"
    case .badImm: "Invalid immediate value"
    case .immstrNoClose: "String is not closed with '\"'"
    case .fileOnKprobe: "File offset is not available with kprobe"
    case .badFileOffs: "Invalid file offset value"
    case .symOnUprobe: "Symbol is not available with uprobe"
    case .tooManyOps: "Dereference is too much nested"
    case .derefNeedBrace: "Dereference needs a brace"
    case .badDerefOffs: "Invalid dereference offset"
    case .derefOpenBrace: "Dereference brace is not closed"
    case .commCantDeref: "$comm can not be dereferenced"
    case .badFetchArg: "Invalid fetch argument"
    case .arrayNoClose: "Array is not closed"
    case .badArraySuffix: "Array has wrong suffix"
    case .badArrayNum: "Invalid array size"
    case .arrayTooBig: "Array number is too big"
    case .badType: "Unknown type is specified"
    case .badString: "String accepts only memory argument"
    case .badSymstring: "Symbol String doesn't accept data/userdata"
    case .badBitfield: "Invalid bitfield"
    case .argNameTooLong: "Argument name is too long"
    case .noArgName: "Argument name is not specified"
    case .badArgName: "Argument name must follow the same rules as C identifiers"
    case .usedArgName: "This argument name is already used"
    case .argTooLong: "Argument expression is too long"
    case .noArgBody: "No argument expression"
    case .nosupBtfarg: "BTF is not available or not supported"
    case .needStringType: "$comm and immediate-string only accepts string type"
    case .tooManyArgs: "Too many arguments are specified"
    case .eventTooBig: "Event too big (too many fields?)"
    case .badInsnBndry: "Probe point is not an instruction boundary"
    case .failRegProbe: "Failed to register probe event"
    case .diffProbeType: "Probe type is different from existing probe"
    case .diffArgType: "Argument type or name is different from existing probe"
    case .sameProbe: "There is already the exact same probe event"
    case .noProbeType: "A definition begins with p or r"
    case .noProbePoint: "Probe point is not specified"
    case .noSuchEvent: "There is no such event"
    case .eventBusy: "The event is enabled"
    case .controlCharacter: "A control character"
    case .lineTooLong: "Line length is too long: Should be less than \(EventLimits.line)"
    }
  }

  /// What Linux's write(2) of such a definition fails with.
  public var errno: Errno {
    switch self {
    case .fileNotFound, .noSuchEvent: .ENOENT
    case .eventBusy: .EBUSY
    case .nonUniqSymbol: .EADDRNOTAVAIL
    case .maxactTooBig, .tooManyArgs, .eventTooBig: .E2BIG
    case .nosupBtfarg: .EOPNOTSUPP
    case .badInsnBndry: .EILSEQ
    case .eventExist, .diffProbeType, .diffArgType, .sameProbe: .EEXIST
    default: .EINVAL
    }
  }
}

/// Why a definition is refused, and where in its text the reason is.
public struct EventError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What is wrong.
  public var problem: EventProblem
  /// The definition as it was given.
  public var command: String
  /// The byte of it that is meant; its length where something is missing at the end.
  ///
  /// Deviation: Linux first joins the words by single spaces and counts in that; and behind `+u` its
  /// columns are one too small.
  public var column: Int
  /// Who refuses: `trace_kprobe` or `trace_uprobe`.
  public var subsystem: String
  /// The number that Linux's write(2) fails with.
  public var errno: Errno
  /// More than Linux says: which instruction, and why.
  public var detail: String?

  /// An error of the given parts.
  public init(
    _ problem: EventProblem, _ command: String, column: Int, subsystem: String = "trace_kprobe",
    errno: Errno? = nil, detail: String? = nil
  ) {
    self.problem = problem
    self.command = command
    self.column = min(max(column, 0), command.utf8.count)
    self.subsystem = subsystem
    self.errno = errno ?? problem.errno
    self.detail = detail
  }

  /// One line: who, what, why, where.
  public var description: String {
    let more = detail.map { ": \($0)" } ?? ""
    return "\(subsystem): error: \(problem.message)\(more) (\(errno), column \(column + 1))"
  }

  /// As Linux's `error_log` shows it: the line, the definition, and a caret below the column.
  ///
  /// - SeeAlso: Linux, `kernel/trace/trace.c`, `tracing_err_log_seq_show`.
  public var lines: [String] {
    let shown = String(command.unicodeScalars.map { $0.value < 32 ? " " : Character($0) })
    // The caret stands below the character that the byte belongs to.
    let before = String(decoding: Array(shown.utf8).prefix(column), as: UTF8.self)
    return [
      description, "  Command: \(shown)",
      String(repeating: " ", count: 11 + before.count) + "^",
    ]
  }
}
